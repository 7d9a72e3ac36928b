"""Do learned parts find the true parts? Only the sample data knows where those are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reproduce.experiments.dpnet.main import (
    UNCONSTRAINED,
    MainTable,
    beside_published,
    figures,
    stand_ins,
    who_trained,
)
from reproduce.experiments.dpnet.parts_experiment import PartsExperiment
from reproduce.parts.models import RANDOM_PARTS, PartRun
from reproduce.published.numbers import published
from reproduce.tables.layout import Table, cells, summarise
from reproduce.workspace.profile import Profile
from reproduce.workspace.workspace import Workspace

QUALITY = ("purity", "hit", "hit_by_chance", "distance")
OF_RANDOM = {f"random_{name}": name for name in QUALITY}


class QualityTable(PartsExperiment):
    """Purity and localisation of the learned parts against random ones."""

    name = "dpnet-quality"
    title = "Parts against the true parts of the sample pictures"

    def applies(self, profile: Profile) -> bool:
        """Wherever the profile's data sets for DP-Net know their true parts."""
        return profile.parts is not None and profile.parts.source == "sample"

    def runs(self, workspace: Workspace) -> list[PartRun]:
        """The unconstrained part models of the main table."""
        return [run for run in MainTable().runs(workspace) if run.method == UNCONSTRAINED]

    def run(self, workspace: Workspace) -> None:
        """Train what is missing; these are models of the main table."""
        MainTable().run(workspace)

    def tables(self, workspace: Workspace) -> Mapping[str, Table]:
        """Mean and standard deviation over seeds, learned parts beside random ones."""
        measured = summarise(self._figures(workspace), seeds=True)
        found = cells(published("dpnet_main")[:0], measured, beside=stand_ins(workspace))
        caption = (
            "Parts against true parts, on test pictures: purity of the ten best boxes of each part, and where "
            f"the best boxes of a class's own parts lie{who_trained(workspace)}"
        )
        layout: dict[str, Any] = {"groups": ("dataset", "network"), "show": "sd", "aside": ()}
        return {"dpnet_quality": Table(found, caption, **layout)}

    def results(self, workspace: Workspace) -> Mapping[str, pd.DataFrame]:
        """Every seed; a hit by chance stands as a method of its own."""
        numbers = beside_published(workspace, self._figures(workspace)).astype({"metric": str})
        chance = numbers["metric"] == "hit_by_chance"
        named = numbers["method"].where(~chance, "Chance"), numbers["metric"].where(~chance, "hit")
        rows = numbers.assign(method=named[0], metric=named[1])
        return {"dpnet_quality": rows[~(chance & (numbers["method"] == RANDOM_PARTS))]}

    def _figures(self, workspace: Workspace) -> pd.DataFrame:
        numbers = figures(workspace, self.runs(workspace), [*QUALITY, *OF_RANDOM])
        random = numbers["metric"].isin(list(OF_RANDOM))
        numbers["method"] = random.map({True: RANDOM_PARTS, False: "Parts"})
        order = pd.CategoricalDtype(QUALITY, ordered=True)
        numbers["metric"] = numbers["metric"].replace(OF_RANDOM).astype(order)
        return numbers
