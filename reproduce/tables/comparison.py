"""A run's tables against those of another run, cell by cell, to the printed digit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from reproduce.tables.cells import KEYS
from reproduce.tables.metric_names import METRICS, printed

State = Literal["equal", "within rounding", "outside", "missing", "new", "other n", "time"]
COMPARED: tuple[State, ...] = ("equal", "within rounding", "outside")
COLUMNS = ["table", *KEYS, "committed", "measured", "state"]


def compare_tables(ours: Mapping[str, pd.DataFrame], committed: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row per cell that either run has measured: `COLUMNS`.

    Both map a table's file name to its cells (`reproduce.tables.cells`). state: "equal" where both print the same
    digits, "within rounding" where the last digit differs by one, "outside" where it differs by more; "missing"
    or "new" where only the committed run or only this one has measured the cell; "other n" where they measured
    other numbers of images or seeds; "time" for seconds, which belong to a machine.
    """
    pairs = [
        _paired(name, ours.get(name), committed.get(name)) for name in dict.fromkeys([*committed, *ours])
    ]
    return pd.concat(pairs, ignore_index=True) if pairs else pd.DataFrame(columns=COLUMNS)


def read_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """The cells of every table in a folder of CSV files as `to_csv` writes them; other CSV files are left out."""
    found = {path.stem: pd.read_csv(path, keep_default_na=False) for path in sorted(folder.glob("*.csv"))}
    whole = {name: table for name, table in found.items() if {*KEYS, "measured", "n"} <= set(table.columns)}
    return {
        name: table.assign(**{column: pd.to_numeric(table[column]) for column in ("measured", "n")})
        for name, table in whole.items()
    }


def _paired(name: str, ours: pd.DataFrame | None, committed: pd.DataFrame | None) -> pd.DataFrame:
    sides = [_measured(side) for side in (ours, committed)]
    suffixes = ("", "_committed")
    both = sides[0].merge(sides[1], how="outer", left_index=True, right_index=True, suffixes=suffixes)
    both = both.rename(columns={"measured_committed": "committed"}).reset_index()
    states = [_state(cell) for cell in both.to_dict("records")]
    return both.assign(table=name, state=states)[COLUMNS]


def _measured(cells: pd.DataFrame | None) -> pd.DataFrame:
    """Value and n of the cells that were measured, by their keys."""
    if cells is None:
        return pd.DataFrame(columns=[*KEYS, "measured", "n"]).astype({"measured": float}).set_index(KEYS)
    return cells[cells["measured"].notna()].set_index(KEYS)[["measured", "n"]]


def _state(cell: Mapping[str, Any]) -> State:
    metric = METRICS[cell["metric"]]
    if metric.unit == "s":
        return "time"
    if pd.isna(cell["measured"]):
        return "missing"
    if pd.isna(cell["committed"]):
        return "new"
    if cell["n"] != cell["n_committed"]:
        return "other n"
    steps = abs(
        printed_steps(cell["measured"], metric.digits) - printed_steps(cell["committed"], metric.digits)
    )
    return "equal" if steps == 0 else "within rounding" if steps == 1 else "outside"


def printed_steps(value: float, digits: int) -> int:
    """A number as it is printed, in units of its last digit."""
    return round(float(printed(value, digits)) * 10**digits)
