"""A published table as a grid: published and measured side by side, interval and number of images below."""

from __future__ import annotations

import math

import pandas as pd

from reproduce.report.document import Cell, Grid, State
from reproduce.tables.layout import SIDES, Places, Table, heading, number, places
from reproduce.tables.metric_names import METRICS, printed
from reproduce.tables.network_names import stands_beside

BEYOND = {"not comparable", "not run"}


def judged(table: Table) -> bool:
    """Whether any cell is comparable, so that verdicts stand in the cells."""
    return not set(table.cells["verdict"]) <= BEYOND


def cell_grid(table: Table) -> Grid:
    """The table's lines, two columns for each of its own, with a line of headings for each group and the metric."""
    placed, columns = places(table), _columns(places(table))
    heads = [
        [
            ("", 1),
            *_spans([(column[: level + 1], _group(table, placed, column, level)) for column, _ in columns]),
        ]
        for level in range(len(table.groups))
    ]
    heads.append([("", 1), *_spans([(column, _metric(column[-1])) for column, _ in columns])])
    corner = {"base": "method"}.get(table.rows, table.rows)
    heads.append([(corner, 1), *((side, 1) for _, side in columns)])
    rows = [
        [Cell(line), *(_cell(table, placed, line, column, side) for column, side in columns)]
        for line in placed.lines
    ]
    return Grid(heads, rows)


def _columns(placed: Places) -> list[tuple[tuple[str, ...], str]]:
    """Every printed column with its sides; a side that the whole table lacks is left out."""
    kept = [side for side in SIDES if any(not math.isnan(cell[side]) for cell in placed.cells.values())]
    return [(column, side) for column in placed.columns for side in kept or SIDES[:1]]


def _spans(columns: list[tuple[tuple[str, ...], str]]) -> list[tuple[str, int]]:
    """The names of one line of headings with how many columns each spans; groups are neighbours."""
    counts: dict[tuple[str, ...], int] = {}
    for key, _ in columns:
        counts[key] = counts.get(key, 0) + 1
    names = dict(columns)
    return [(names[key], count) for key, count in counts.items()]


def _group(table: Table, placed: Places, column: tuple[str, ...], level: int) -> str:
    """A group's name; a network's says which one was measured in its place."""
    if table.groups[level] != "network":
        return column[level]
    owns = {
        cell["measured_network"]
        for (_, other), cell in placed.cells.items()
        if other[: level + 1] == column[: level + 1] and cell["n"]
    }
    return stands_beside(owns.pop() if len(owns) == 1 else "", column[level])


def _metric(name: str) -> str:
    return f"[{heading(name)}](#metric-{anchor(name)})"


def anchor(name: str) -> str:
    """A metric's name as a part of an anchor."""
    return "".join(character if character.isalnum() else "-" for character in name)


def _cell(table: Table, placed: Places, line: str, column: tuple[str, ...], side: str) -> Cell:
    cell = placed.cells.get((line, column))
    if cell is None:
        return Cell("")
    text = number(table, cell, side, placed.best[column], lambda text: f"**{text}**")
    if side == "published":
        return Cell(text)
    state: State = cell["verdict"] if judged(table) or cell["verdict"] == "not run" else ""
    return Cell(text, state, _detail(cell) if cell["n"] else "")


def _detail(cell: pd.Series) -> str:
    """Interval and number of images or runs."""
    digits = METRICS[cell["metric"]].digits
    count = f"n {cell['n']}"
    if math.isnan(cell["low"]):
        return count
    return f"[{printed(cell['low'], digits)}, {printed(cell['high'], digits)}] {count}"
