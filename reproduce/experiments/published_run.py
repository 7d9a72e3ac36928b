"""A run's cells beside those of its profile's last published run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from reproduce.experiments.outcome import Outcome
from reproduce.tables.comparison import compare_tables, read_tables
from reproduce.workspace.paths import PUBLISHABLE
from reproduce.workspace.profile import Profile


def committed_tables(profile: Profile) -> Path | None:
    """Where the tables of the profile's last published run lie, if it has any."""
    folder = PUBLISHABLE.get(profile.name)
    return folder and folder / "tables"


def compare_outcomes(told: Iterable[Outcome], folder: Path) -> pd.DataFrame:
    """The cells of these experiments beside those in a folder of tables; see `compare_tables`."""
    ours = {name: table.cells for outcome in told for name, table in outcome.tables.items()}
    return compare_tables(ours, {name: cells for name, cells in read_tables(folder).items() if name in ours})
