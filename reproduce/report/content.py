"""What a report is written from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from reproduce.claims.writing import read_claims
from reproduce.experiments.computing import own_stages
from reproduce.experiments.outcome import Outcome
from reproduce.workspace.paths import PUBLISHED
from reproduce.workspace.provenance import Drawn
from reproduce.workspace.workspace import Workspace

MEASURED = ("benchmarks", "checks", "studies")
"""What is measured and committed apart from a run."""


def measured(folder: Path, kind: str) -> Path:
    """Where benchmarks, checks or studies lie: in an output folder, or, where it has none, as they are committed."""
    own = folder / kind
    return own if own.is_dir() else PUBLISHED / kind


@dataclass(frozen=True, eq=False)
class Given:
    """The outcomes of a profile's experiments, the folder of their figures, and the commit that made them.

    command: the line for the shell that makes `python -m reproduce` do what its arguments say, on this
    profile, input and store.
    """

    workspace: Workspace
    told: list[Outcome]
    folder: Path
    drawn: Drawn
    commit: str
    command: Callable[..., str]

    def measured(self, kind: str) -> Path:
        """Folder of benchmarks, checks or studies; see `measured`."""
        return measured(self.folder, kind)

    @cached_property
    def claims(self) -> pd.DataFrame:
        """Every claim as judged and written into the folder."""
        return read_claims(self.folder)

    @cached_property
    def stages(self) -> pd.DataFrame:
        """How long each stage took, of the runs in the store of the same profile and limit."""
        return own_stages(self.workspace)

    def recompute(self, outcome: Outcome) -> str:
        """The command that computes one experiment anew."""
        return self.command("run", "--only", outcome.experiment.name, "--force")
