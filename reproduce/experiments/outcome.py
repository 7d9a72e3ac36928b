"""What an experiment tells, made once and read by tables, check and report alike."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from reproduce.experiments import Experiment
from reproduce.experiments.base import Deviation
from reproduce.tables.comparison import compare_tables, read_tables
from reproduce.tables.layout import Table
from reproduce.workspace.workspace import Workspace


@dataclass(frozen=True, eq=False)
class Outcome:
    """One experiment with its tables and deviations, each made from the store at first use."""

    workspace: Workspace
    experiment: Experiment

    @cached_property
    def tables(self) -> Mapping[str, Table]:
        """Tables by file name; one that no paper prints and nothing measured yet has no cells and is left out."""
        return {name: table for name, table in self._made.items() if len(table.cells)}

    @property
    def table_names(self) -> list[str]:
        """File names of all tables, of those without cells, too."""
        return list(self._made)

    @cached_property
    def _made(self) -> Mapping[str, Table]:
        return self.experiment.tables(self.workspace)

    @cached_property
    def deviations(self) -> list[Deviation]:
        """Deviations of the published protocol whose effect these results tell."""
        return self.experiment.deviations(self.workspace)


def outcomes(workspace: Workspace, experiments: Iterable[Experiment]) -> list[Outcome]:
    """The outcome of each experiment."""
    return [Outcome(workspace, experiment) for experiment in experiments]


def compare_outcomes(told: Iterable[Outcome], folder: Path) -> pd.DataFrame:
    """The cells of these experiments beside those in a folder of tables; see `compare_tables`."""
    told = list(told)
    ours = {name: table.cells for outcome in told for name, table in outcome.tables.items()}
    asked = {name for outcome in told for name in outcome.table_names}
    return compare_tables(ours, {name: cells for name, cells in read_tables(folder).items() if name in asked})
