"""Every number the two papers print, read from `published/`: one CSV file per table, one row per number.

A row's `method` is the label the measured results use too. Where a table varies one method (a part of the
map, an objective, a layer, a set of constraints), the variant stands in brackets: "Opti-CAM [layer 42]".
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).parent
CLAIMS = FOLDER / "claims.csv"  # what the texts assert beyond the tables; see `reproduce.claims.assertions`
COLUMNS = (
    "table",
    "network",
    "method",
    "metric",
    "value",
    "unit",
    "dataset",
    "n_images",
    "source",
    "note",
    "tolerance",
    "tolerance_reason",
)
KEY = ("table", "dataset", "network", "method", "metric")
_TYPES = {column: str for column in COLUMNS} | {"value": float, "n_images": "Int64", "tolerance": float}
_MISSING = {"n_images": [""], "tolerance": [""]}


def tables() -> list[str]:
    """Names of all published tables, sorted: "dpnet_constraints", ..., "opticam_table1", ..."""
    return sorted(path.stem for path in FOLDER.glob("*.csv") if path != CLAIMS)


def published(table: str) -> pd.DataFrame:
    """One published table in the paper's order, with the columns `COLUMNS`.

    `n_images` is missing where the source does not state it. `tolerance` (in the value's unit) widens the
    measured interval before the two are compared; where it is missing the value cannot be compared at all.
    `tolerance_reason` says why in both cases. Raises ValueError when there is no such table.
    """
    if table not in tables():
        raise ValueError(f"table {table!r} given; accepted are {', '.join(tables())}")
    path = FOLDER / f"{table}.csv"
    return pd.read_csv(path, dtype=_TYPES, keep_default_na=False, na_values=_MISSING, encoding="utf-8")


def labelled(method: str, variant: str = "") -> str:
    """The label of a method's variant: `labelled("Opti-CAM", "layer 42")` is "Opti-CAM [layer 42]"."""
    return f"{method} [{variant}]" if variant else method


def split_label(label: str) -> tuple[str, str]:
    """Method and variant of a label; the variant of a plain method is the empty string."""
    method, _, variant = label.removesuffix("]").partition(" [")
    return method, variant
