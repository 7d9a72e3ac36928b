"""What a report is made of, whatever it is written as. Texts may hold `code` and **strong** words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

State = Literal[
    "",
    "reproduced",
    "differs",
    "not comparable",
    "not run",
    "agrees",
    "contradicts",
    "inconclusive",
]
MARKS: dict[State, str] = {
    "": "",
    "reproduced": "✓",
    "differs": "✗",
    "not comparable": "~",
    "not run": "○",
    "agrees": "✓",
    "contradicts": "✗",
    "inconclusive": "?",
}
"""A sign for each state, so that none is told by colour alone."""


@dataclass(frozen=True)
class Heading:
    """A section's title; level 1 is the report's. anchor: what links to it, unique; "" for no links."""

    level: int
    text: str
    anchor: str = ""


@dataclass(frozen=True)
class Paragraph:
    """Running text; `small` for notes below a table."""

    text: str
    small: bool = False


@dataclass(frozen=True)
class Items:
    """A list of short texts."""

    texts: Sequence[str]
    small: bool = False


@dataclass(frozen=True)
class Command:
    """A line for the shell."""

    line: str


@dataclass(frozen=True)
class Cell:
    """A cell of a grid: its text, what is judged of it, and a second, smaller line."""

    text: str
    state: State = ""
    detail: str = ""


@dataclass(frozen=True)
class Grid:
    """A table. heads: lines of headings, each a list of (text, columns it spans), the last one column each.

    kind: "numbers" aligns all columns but the first to the right, "words" all to the left.
    """

    heads: Sequence[Sequence[tuple[str, int]]]
    rows: Sequence[Sequence[Cell]]
    kind: Literal["numbers", "words"] = "numbers"


@dataclass(frozen=True)
class Picture:
    """A figure: a PNG or SVG file, what it shows, and a line below it."""

    path: Path
    title: str
    caption: str


@dataclass(frozen=True)
class Legend:
    """States with what they mean."""

    meanings: Sequence[tuple[State, str]]


Block = Heading | Paragraph | Items | Command | Grid | Picture | Legend


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    blocks: list[Block] = field(default_factory=list)
