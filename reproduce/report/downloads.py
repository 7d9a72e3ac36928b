"""Every table of a report as files to keep: what a grid shows, as CSV and as LaTeX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

from reproduce.report.document import ANCHOR_LINK, Block, Cell, Download, Grid, Heading
from reproduce.tables.layout import latex_tabular


def with_downloads(blocks: Iterable[Block]) -> Iterator[Block]:
    """The blocks; a grid without files gets those of what it shows, named after the heading above it."""
    name, count = "", 0
    for block in blocks:
        if isinstance(block, Heading):
            name, count = block.anchor or _plain_name(block.text), 0
        if isinstance(block, Grid):
            count += 1
            if not block.files:
                block = replace(block, files=files(block, name if count == 1 else f"{name}-{count}"))
        yield block


def files(grid: Grid, name: str) -> tuple[Download, Download]:
    """A grid as CSV and as LaTeX, as it is shown: verdicts and smaller lines stand in the cells."""
    heads, rows = _heads(grid), [[_text(cell) for cell in row] for row in grid.rows]
    with io.StringIO() as buffer:
        csv.writer(buffer, lineterminator="\n").writerows([heads, *rows])
        return as_files(name, buffer.getvalue(), latex_tabular([heads], rows, grid.kind == "words"))


def as_files(name: str, csv_text: str, latex: str) -> tuple[Download, Download]:
    """A table of a name in both forms."""
    return Download("CSV", f"{name}.csv", csv_text), Download("LaTeX", f"{name}.tex", latex)


def _heads(grid: Grid) -> list[str]:
    """One name for each column: its headings of every line, each once."""
    spread = [[text for text, span in line for _ in range(span)] for line in grid.heads]
    return [_plain(" ".join(dict.fromkeys(filter(None, column)))) for column in zip(*spread)]


def _text(cell: Cell) -> str:
    state = "" if cell.state == cell.text else cell.state
    return _plain("; ".join(filter(None, (cell.text, state, cell.detail))))


def _plain(text: str) -> str:
    """The text without the marks of links, code and strong words."""
    return re.sub(r"\*\*([^*]+)\*\*", r"\1", ANCHOR_LINK.sub(r"\1", text)).replace("`", "")


def _plain_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
