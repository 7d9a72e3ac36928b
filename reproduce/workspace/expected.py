"""How long each stage of a run is expected to take: as long as here before, else as long as it was measured once."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from reproduce.workspace.profile import FOLDER
from reproduce.workspace.workspace import Workspace

MEASURED = FOLDER / "stage_seconds.csv"
"""Seconds by profile, limit and stage, on 2 cores of an Intel Xeon with AVX-512; `environment.sh` reads it, too."""


def expected_seconds(workspace: Workspace) -> Mapping[str, float]:
    """Seconds by stage. Of this store's runs of the same profile and limit the longest counts: it did the work."""
    name, limit = workspace.profile.name, str(workspace.profile.limit or "")
    table = pd.read_csv(MEASURED, dtype={"limit": str}, keep_default_na=False)
    chosen = table[(table["profile"] == name) & (table["limit"] == limit)]
    runs, stages = workspace.store.runs(), workspace.store.stages()
    same = [
        run["id"]
        for run in runs.to_dict("records")
        if (run["arguments"].get("profile"), run["arguments"].get("limit", "")) == (name, limit)
    ]
    here = stages[stages["run"].isin(same)].groupby("stage")["seconds"].max()
    return dict(zip(chosen["stage"], chosen["seconds"].astype(float))) | here.to_dict()
