"""Every ordering that the papers' tables print, read off by code: nobody selects.

In each table, network (or data set and backbone) and metric, the paper's own row is set against every other one.
Where rows are variants of a method ("Opti-CAM [S]"), the default row is set against the own method's other variants,
and each variant against the same variant of every other method. A difference of zero at the printed digit is a
published tie, asserted to within half that digit.
"""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from reproduce.claims.comparison import Comparison
from reproduce.published.numbers import labelled, published, split_label
from reproduce.tables.metric_names import METRICS

DEFAULTS = {
    "opticam_table1": "Opti-CAM",
    "opticam_table2": "Opti-CAM",
    "opticam_table3": "Opti-CAM",
    "opticam_table4": "Opti-CAM",
    "opticam_table5": "Opti-CAM [S]",
    "opticam_table6": "Opti-CAM [Mask, range]",
    "opticam_tableA7": "Opti-CAM",
    "opticam_tableA8": "Opti-CAM",
    "opticam_tableA9": "Opti-CAM [ground truth]",
    "opticam_tableA10": "Opti-CAM",
    "opticam_tableA11": "Opti-CAM",
    "opticam_tableA12": "Opti-CAM [Mask, range]",
    "opticam_tableA13": "Opti-CAM [layer 42]",
    "opticam_tableA14": "Opti-CAM",
    "dpnet_main": "Parts",
    "dpnet_constraints": "Parts [none]",
}
"""The paper's own row, or the default one of an ablation. The other two files, `opticam_text` and `dpnet_context`,
hold single numbers and other papers' results, which order nothing."""


def orderings() -> list[Comparison]:
    """All of both papers, in the order of the tables."""
    return [ordering for table in DEFAULTS for ordering in _of_table(table)]


def paper_of(table: str) -> str:
    """The paper that prints a table, by the table's name."""
    return "DP-Net" if table.startswith("dpnet") else "Opti-CAM"


def _of_table(table: str) -> Iterator[Comparison]:
    for (dataset, network, metric), cells in published(table).groupby(
        ["dataset", "network", "metric"], sort=False
    ):
        values = cells.set_index("method")["value"]
        for left, right in pairs(list(values.index), DEFAULTS[table]):
            yield _ordering((table, dataset, network, metric), left, right, values)


def pairs(methods: list[str], default: str) -> Iterator[tuple[str, str]]:
    """The rows to set against each other, own or default row first. See the module."""
    own, usual = split_label(default)
    if default.startswith("Parts ["):  # the ablation asks what a combination of constraints adds to none
        yield from ((other, default) for other in methods if other != default)
        return
    for other in methods:
        base, variant = split_label(other)
        if base == own and variant != usual:
            yield default, other
        elif base != own:
            yield labelled(own, variant or usual), other


def _ordering(cell: tuple[str, str, str, str], left: str, right: str, values: pd.Series) -> Comparison:
    digits = max(METRICS[cell[3]].digits, *(_decimals(values[method]) for method in (left, right)))
    difference = round(float(values[left] - values[right]), digits)
    sign = (difference > 0) - (difference < 0)
    margin = 0.0 if sign else 0.5 * 10.0**-digits
    return Comparison(*cell, left, right, sign, difference, margin)


def _decimals(value: float) -> int:
    """Digits after the point, without zeros at the end; some cells are printed with more than their table's."""
    return len(f"{value:.9f}".rstrip("0").partition(".")[2])
