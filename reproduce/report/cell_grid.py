"""A published table as a grid: published, measured, interval, n and verdict in every cell."""

from __future__ import annotations

import math

import pandas as pd

from reproduce.report.document import Cell, Grid
from reproduce.tables.layout import Table, heading, numbers, places
from reproduce.tables.metric_names import METRICS, printed


def cell_grid(table: Table) -> Grid:
    """The table's lines and columns, with a line of headings for each group."""
    placed = places(table)
    corner = {"base": "method"}.get(table.rows, table.rows)
    heads = [
        [("", 1), *_spans([column[: level + 1] for column in placed.columns])]
        for level in range(len(table.groups))
    ]
    heads.append([(corner, 1), *((heading(column[-1]), 1) for column in placed.columns)])
    rows = [
        [Cell(line), *(_cell(table, placed.cells.get((line, c)), placed.best[c]) for c in placed.columns)]
        for line in placed.lines
    ]
    return Grid(heads, rows)


def _spans(columns: list[tuple[str, ...]]) -> list[tuple[str, int]]:
    """The names of one level of groups with how many columns each spans; groups are neighbours."""
    counts: dict[tuple[str, ...], int] = {}
    for column in columns:
        counts[column] = counts.get(column, 0) + 1
    return [(column[-1], count) for column, count in counts.items()]


def _cell(table: Table, cell: pd.Series | None, best: dict[str, str]) -> Cell:
    if cell is None:
        return Cell("")
    text = numbers(table, cell, best, lambda number: f"**{number}**")
    return Cell(text, cell["verdict"], _detail(cell) if cell["n"] else "")


def _detail(cell: pd.Series) -> str:
    """Interval and number of images or runs."""
    digits = METRICS[cell["metric"]].digits
    count = f"n {cell['n']}"
    if math.isnan(cell["low"]):
        return count
    return f"[{printed(cell['low'], digits)}, {printed(cell['high'], digits)}] {count}"
