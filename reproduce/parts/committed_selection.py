"""Cross-validation's tables as the project keeps them, so that every machine trains the same recipes.

One CSV file per profile, made by `python -m reproduce select-parts`: the records of `reproduce.parts.choices` one
below the other. A record's name ends with a digest of what the candidates were trained on, so a change of
settings, pictures or networks finds nothing here and is chosen anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from opticam.data.files import write_text
from reproduce.workspace.paths import PROFILES


def selection_file(profile: str) -> Path:
    """Where the tables of a profile lie."""
    return PROFILES / "selection" / f"{profile}.csv"


def bring_selection(profile: str, record: Path) -> None:
    """Write a record, a CSV file of candidates with their figures, as it is kept, unless it is there or none is."""
    if record.exists() or not selection_file(profile).is_file():
        return
    kept = pd.read_csv(selection_file(profile), dtype=str)
    rows = kept[kept["record"] == record.stem].drop(columns="record")
    if len(rows):
        write_text(record, rows.to_csv(index=False, lineterminator="\n"))


def keep_selection(profile: str, records: Iterable[Path]) -> Path:
    """Put these records into the profile's file, in place of what it had of them; its path.

    Others stay: a selection may be of one data set, or at one picture size, and the file holds all.
    """
    path = selection_file(profile)
    kept = pd.read_csv(path, dtype=str).groupby("record") if path.is_file() else ()
    tables = {record: rows.drop(columns="record") for record, rows in kept}
    tables |= {record.stem: pd.read_csv(record, dtype=str) for record in records}
    joined = pd.concat(dict(sorted(tables.items())), names=["record", None]).reset_index(level="record")
    write_text(path, joined.to_csv(index=False, lineterminator="\n"))
    return path
