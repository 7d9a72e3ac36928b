"""What a report is written from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from reproduce.claims.writing import read_claims
from reproduce.experiments.outcome import Outcome
from reproduce.workspace.provenance import Drawn
from reproduce.workspace.workspace import Workspace


@dataclass(frozen=True, eq=False)
class Given:
    """The outcomes of a profile's experiments, and the folder of their figures and benchmarks.

    command: the line for the shell that makes `python -m reproduce` do what its arguments say, on this
    profile, input and store.
    """

    workspace: Workspace
    told: list[Outcome]
    folder: Path
    drawn: Drawn
    command: Callable[..., str]

    @property
    def claims(self) -> pd.DataFrame:
        """Every claim as judged and written into the folder."""
        return read_claims(self.folder)

    def recompute(self, outcome: Outcome) -> str:
        """The command that computes one experiment anew."""
        return self.command("run", "--only", outcome.experiment.name, "--force")
