"""What a report is made of, whatever it is written as. Texts may hold `code`, **strong** words, [links](#anchor)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np

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
ANCHOR_LINK = re.compile(r"\[([^\]]+)\]\(#([\w-]+)\)")
"""How a text links to a place of the same report: [words](#anchor)."""
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
class Whisker:
    """A measured difference with its interval, beside the published one; drawn on a line with zero in its middle."""

    measured: float
    low: float
    high: float
    published: float | None = None


@dataclass(frozen=True)
class Cell:
    """A cell of a grid: its text, what is judged of it, a second, smaller line, and a drawing.

    anchor: what links to the cell's line.
    """

    text: str
    state: State = ""
    detail: str = ""
    whisker: Whisker | None = None
    anchor: str = ""


@dataclass(frozen=True)
class Download:
    """A file that a page holds inside: what its link says, its name when it is kept, and its text."""

    words: str
    name: str
    text: str


@dataclass(frozen=True)
class Grid:
    """A table. heads: lines of headings, each a list of (text, columns it spans), the last one column each.

    kind: "numbers" aligns all columns but the first to the right, "words" all to the left. filtered: whether a reader
    may sort its lines and look for some. files: the table to keep; a page without them offers what it shows.
    """

    heads: Sequence[Sequence[tuple[str, int]]]
    rows: Sequence[Sequence[Cell]]
    kind: Literal["numbers", "words"] = "numbers"
    filtered: bool = False
    files: Sequence[Download] = ()


@dataclass(frozen=True)
class Picture:
    """A figure: a PNG or SVG file, what it shows, and a line below it. narrow: another may stand beside it."""

    path: Path
    title: str
    caption: str
    narrow: bool = False


@dataclass(frozen=True)
class Legend:
    """States with what they mean."""

    meanings: Sequence[tuple[State, str]]


@dataclass(frozen=True)
class Tile:
    """One fact at a glance: what it is, its value, and a line below."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Tiles:
    """Facts side by side."""

    tiles: Sequence[Tile]


@dataclass(frozen=True)
class Bar:
    """How many of something have each state, with the anchor of the first one of each; "" for none."""

    label: str
    parts: Sequence[tuple[State, int, str]]
    detail: str = ""


@dataclass(frozen=True)
class Bars:
    """Stacked bars of one length each."""

    bars: Sequence[Bar]


@dataclass(frozen=True)
class Banner:
    """What holds for the whole table below it."""

    text: str


@dataclass(frozen=True)
class Folded:
    """Texts that stay folded until a reader asks for them."""

    title: str
    texts: Sequence[str]


@dataclass(frozen=True)
class Explanation:
    """One photograph under one method: RGB arrays [H,W,3] of 8 bits, and the probability before and under the mask."""

    photograph: str
    method: str
    label: str
    map_over_photo: np.ndarray
    masked_photo: np.ndarray
    before: float
    after: float


@dataclass(frozen=True)
class Explorer:
    """Explanations of which a reader chooses one by photograph and method."""

    explanations: Sequence[Explanation]


Block = (
    Heading
    | Paragraph
    | Items
    | Command
    | Grid
    | Picture
    | Legend
    | Tiles
    | Bars
    | Banner
    | Folded
    | Explorer
)


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    blocks: list[Block] = field(default_factory=list)
