"""How a table is printed: published beside measured, as CSV, Markdown and LaTeX.

Everything here is a pure function of the table's cells, made by `cells` from a published table
(`reproduce.published.numbers.published`) and the stored results (`summarise` of `Store.frame`).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from reproduce.tables.cells import cells, measured_counts, summarise
from reproduce.tables.metric_names import METRICS, Metric, printed

__all__ = ["METRICS", "Metric", "Table", "cells", "summarise", "to_csv", "to_latex", "to_markdown"]

_ARROWS = {"up": " ↑", "down": " ↓", "neither": ""}
_NOTHING = "\N{EN DASH}"
SIDES = ("published", "measured")


@dataclass(frozen=True)
class Table:
    """A table to print.

    cells: from `cells`. caption: one line above it.
    rows: the column of `cells` that names a line: "method", "base", "variant", "network" or "dataset".
    groups: the columns of `cells` that head the printed columns, outermost first; the metric stands below.
    show: what follows a measured mean: nothing, its interval, or the standard deviation.
    aside: methods (without variant) that are never marked best, as in the papers.
    """

    cells: pd.DataFrame
    caption: str = ""
    rows: str = "method"
    groups: tuple[str, ...] = ("network",)
    show: Literal["mean", "interval", "sd"] = "mean"
    aside: tuple[str, ...] = ("Fake-CAM",)


@dataclass(frozen=True)
class _Style:
    """How one format writes bold, the marks of a verdict, and characters that it would read as commands."""

    bold: Callable[[str], str]
    escape: Callable[[str], str]
    reproduced: str
    differs: str

    def mark(self, verdict: str) -> str:
        return {"reproduced": self.reproduced, "differs": self.differs}.get(verdict, "")


def _markdown_escape(text: str) -> str:
    for character in "\\|*[]":
        text = text.replace(character, "\\" + character)
    return text


_LATEX = str.maketrans(
    {character: "\\" + character for character in "&%$#_{}"}
    | {"\\": r"$\setminus$", "∩": r"$\cap$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "Δ": r"$\Delta$"}
    | {_NOTHING: "--", "±": r"$\pm$", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
)
_MARKDOWN = _Style(lambda text: f"**{text}**", _markdown_escape, " ✓", " ✗")
_TEX = _Style(lambda text: rf"\textbf{{{text}}}", lambda text: text.translate(_LATEX), "$^{=}$", r"$^{\neq}$")


@dataclass(frozen=True)
class _Grid:
    """Printed cells: `texts[line][column]` in the order of `lines` and of `heads` (groups, then metric)."""

    lines: list[str]
    heads: list[tuple[str, ...]]
    texts: list[list[str]]


def to_csv(table: Table) -> str:
    """One line per cell with everything known about it; numbers to ten significant digits."""
    return table.cells.to_csv(index=False, float_format="%.10g", lineterminator="\n")


def to_markdown(table: Table) -> str:
    """The table in Markdown: one line per row, `published / measured` in a cell, a legend below."""
    # Not pandas' to_markdown: one grid is what all three writers lay out, and its cells are escaped here.
    grid = _grid(table, _MARKDOWN)
    corner = {"base": "method"}.get(table.rows, table.rows)
    lines = [
        [corner, *(_markdown_escape(" ".join(head)) for head in grid.heads)],
        ["---", *["---:"] * len(grid.heads)],
        *([_markdown_escape(name), *texts] for name, texts in zip(grid.lines, grid.texts)),
    ]
    above = [f"**{table.caption}**", ""] if table.caption else []
    body = [f"| {' | '.join(texts)} |" for texts in lines]
    return "\n".join([*above, *body, "", _legend(table, _MARKDOWN), ""])


def to_latex(table: Table) -> str:
    """The table as a LaTeX table environment; needs the package booktabs."""
    # Not pandas' to_latex, which needs Jinja2: the grid is laid out already.
    grid = _grid(table, _TEX)
    caption = _TEX.escape(f"{table.caption}. " if table.caption else "") + _legend(table, _TEX)
    body = [[_TEX.escape(name), *texts] for name, texts in zip(grid.lines, grid.texts)]
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption}}}",
        *_tabular(f"l{'r' * len(grid.heads)}", _tex_heads(grid), body),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def latex_tabular(heads: list[list[str]], rows: list[list[str]], words: bool) -> str:
    """Plain texts as a LaTeX tabular; needs booktabs. words: columns to the left, else all but the first right."""
    escaped = [[[_TEX.escape(text) for text in line] for line in lines] for lines in (heads, rows)]
    columns = "l" + ("l" if words else "r") * (len(heads[0]) - 1)
    return "\n".join(_tabular(columns, *escaped)) + "\n"


def _tabular(columns: str, heads: list[list[str]], body: list[list[str]]) -> list[str]:
    return [
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        *(_tex_line(texts) for texts in heads),
        r"\midrule",
        *(_tex_line(texts) for texts in body),
        r"\bottomrule",
        r"\end{tabular}",
    ]


def _tex_line(texts: list[str]) -> str:
    return " & ".join(texts) + r" \\"


def _tex_heads(grid: _Grid) -> list[list[str]]:
    """Heading lines: one for each group level, its names spanning their columns, then the metrics."""
    lines = []
    for level in range(len(grid.heads[0]) - 1):
        spans = Counter(
            head[: level + 1] for head in grid.heads
        )  # in order: columns of a group are neighbours
        names = [rf"\multicolumn{{{width}}}{{c}}{{{_TEX.escape(span[-1])}}}" for span, width in spans.items()]
        lines.append(["", *names])
    return [*lines, ["", *(_TEX.escape(head[-1]) for head in grid.heads)]]


def _grid(table: Table, style: _Style) -> _Grid:
    placed = places(table)
    texts = {place: _text(table, cell, placed.best[place[1]], style) for place, cell in placed.cells.items()}
    heads = [(*column[:-1], heading(column[-1])) for column in placed.columns]
    return _Grid(
        placed.lines,
        heads,
        [[texts.get((line, column), "") for column in placed.columns] for line in placed.lines],
    )


@dataclass(frozen=True)
class Places:
    """Where each cell of a table is printed.

    lines: names of the lines. columns: the groups and the metric of each printed column. cells: by line and
    column. best: by column, the lines with the best printed number of each side, "published" and "measured".
    """

    lines: list[str]
    columns: list[tuple[str, ...]]
    cells: dict[tuple[str, tuple[str, ...]], pd.Series]
    best: dict[tuple[str, ...], dict[str, set[str]]]


def places(table: Table) -> Places:
    """The lines and columns of a printed table. Raises ValueError where two cells would share a place."""
    frame = table.cells
    by = [*table.groups, "metric"]
    lines = list(dict.fromkeys(frame[table.rows]))
    columns = sorted(set(zip(*(frame[key] for key in by))), key=_order(frame, by))
    groups = dict(iter(frame.groupby(by, sort=False)))
    found = {
        (cell[table.rows], column): cell for column, group in groups.items() for _, cell in group.iterrows()
    }
    if len(found) != len(frame):
        raise ValueError(f"rows {table.rows!r} and groups {table.groups} put several cells in one place")
    return Places(lines, columns, found, {column: _best(table, group) for column, group in groups.items()})


def _order(frame: pd.DataFrame, by: list[str]) -> Callable[[tuple[str, ...]], tuple[int, ...]]:
    """Sort key that keeps each heading in the order of its first appearance, groups together."""
    ranks = [{name: rank for rank, name in enumerate(dict.fromkeys(frame[key]))} for key in by]
    return lambda column: tuple(rank[name] for rank, name in zip(ranks, column))


def heading(metric: str) -> str:
    """A metric's name as a column is headed: its unit where it is not %, and an arrow to its good end, if any."""
    known = METRICS[metric]
    unit = f" ({known.unit})" if known.unit == "s" else ""
    return f"{known.header}{unit}{_ARROWS[known.better]}"


def _best(table: Table, group: pd.DataFrame) -> dict[str, set[str]]:
    """The lines with the best printed number of one column, published and measured; none where neither end is good.

    Means over fewer images than others of the column are over other images, and not compared.
    """
    metric = METRICS[group["metric"].iloc[0]]
    if metric.better == "neither":
        return {}
    kept = group[~group["base"].isin(table.aside)].set_index(table.rows)
    pick = max if metric.better == "up" else min
    best = {}
    for side, rows in (("published", kept), ("measured", kept[kept["n"] == kept["n"].max()])):
        values = rows[side].dropna()
        if len(values) > 1:
            texts = values.map(lambda value: printed(value, metric.digits))
            best[side] = set(texts.index[texts == printed(pick(values), metric.digits)])
    return best


def _text(table: Table, cell: pd.Series, best: dict[str, set[str]], style: _Style) -> str:
    parts = numbers(table, cell, best, style.bold, style.escape)
    spread = _spread(table.show, cell, METRICS[cell["metric"]].digits)
    return parts + style.escape(spread) + style.mark(cell["verdict"])


def numbers(
    table: Table,
    cell: pd.Series,
    best: dict[str, set[str]],
    bold: Callable[[str], str],
    escape: Callable[[str], str] = str,
) -> str:
    """A cell's published and measured number, `published / measured`, the best of its column in bold."""
    return " / ".join(number(table, cell, side, best, bold, escape) for side in SIDES)


def number(
    table: Table,
    cell: pd.Series,
    side: str,
    best: dict[str, set[str]],
    bold: Callable[[str], str],
    escape: Callable[[str], str] = str,
) -> str:
    """A cell's "published" or "measured" number, the best of its column in bold; an en dash for none."""
    text = _NOTHING if math.isnan(cell[side]) else printed(cell[side], METRICS[cell["metric"]].digits)
    return bold(text) if cell[table.rows] in best.get(side, ()) else escape(text)


def _spread(show: str, cell: pd.Series, digits: int) -> str:
    if show == "interval" and not math.isnan(cell["low"]):
        return f" [{printed(cell['low'], digits)}, {printed(cell['high'], digits)}]"
    if show == "sd" and not math.isnan(cell["sd"]):
        return f" ± {printed(cell['sd'], digits)}"
    return ""


def _legend(table: Table, style: _Style) -> str:
    spread = {"mean": "", "interval": " [95 % interval]", "sd": " ± standard deviation"}[table.show]
    aside = f" ({', '.join(table.aside)} aside)" if set(table.aside) & set(table.cells["base"]) else ""
    counts = measured_counts(table.cells)
    n = f"n = {counts}" if counts else "nothing measured yet"
    first = f"Published / measured{spread}, {n}.{stand_ins(table.cells)} "
    last = f"no mark: not comparable, {_NOTHING}: not printed in the paper or not run."
    marks = f"{style.reproduced.strip()} reproduced, {style.differs.strip()} differs, "
    return (
        style.escape(f"{first}Bold: best of its column{aside}, among means over the most images. ")
        + marks
        + style.escape(last)
    )


def stand_ins(frame: pd.DataFrame) -> str:
    """Says which measured networks and data sets stand beside which published ones, where they differ."""
    pairs = {
        (ours, theirs)
        for key in ("dataset", "network")
        for ours, theirs in zip(frame[f"measured_{key}"], frame[key])
        if ours not in ("", theirs)
    }
    named = [f"{ours} beside {theirs}" for ours, theirs in sorted(pairs)]
    return f" Measured: {'; '.join(named)}." if named else ""
