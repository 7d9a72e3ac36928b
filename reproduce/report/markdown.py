"""A document as Markdown, its pictures beside it."""

from __future__ import annotations

import os
import re
from functools import singledispatch
from pathlib import Path

from reproduce.report.document import (
    ANCHOR_LINK,
    MARKS,
    Banner,
    Bars,
    Block,
    Cell,
    Command,
    Document,
    Explorer,
    Folded,
    Grid,
    Heading,
    Items,
    Legend,
    Paragraph,
    Picture,
    Tiles,
)


def to_markdown(document: Document, folder: Path) -> str:
    """The text of a file that lies in `folder`, which pictures are linked from."""
    text = "\n\n".join(_markdown(block, folder) for block in document.blocks) + "\n"
    places = {block.anchor: _place(block.text) for block in document.blocks if isinstance(block, Heading)}
    return ANCHOR_LINK.sub(lambda link: f"[{link[1]}](#{places.get(link[2], link[2])})", text)


def _place(heading: str) -> str:
    """What links to a heading: Markdown's readers make it of the words."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@singledispatch
def _markdown(block: Block, folder: Path) -> str:
    raise TypeError(f"no Markdown for a {type(block).__name__}")


@_markdown.register
def _(block: Heading, folder: Path) -> str:
    return f"{'#' * block.level} {block.text}"


@_markdown.register
def _(block: Paragraph, folder: Path) -> str:
    return block.text


@_markdown.register
def _(block: Items, folder: Path) -> str:
    return "\n".join(f"- {text}" for text in block.texts)


@_markdown.register
def _(block: Command, folder: Path) -> str:
    return f"```bash\n{block.line}\n```"


@_markdown.register
def _(block: Legend, folder: Path) -> str:
    return "\n".join(f"- {MARKS[state]} **{state}**: {text}" for state, text in block.meanings)


@_markdown.register
def _(block: Tiles, folder: Path) -> str:
    return "\n".join(f"- {tile.label}: **{tile.value}** {tile.detail}".rstrip() for tile in block.tiles)


@_markdown.register
def _(block: Bars, folder: Path) -> str:
    return "\n".join(
        f"- {bar.label}: "
        + ", ".join(f"{count} {state} {MARKS[state]}" for state, count, _ in bar.parts)
        + (f" ({bar.detail})" if bar.detail else "")
        for bar in block.bars
    )


@_markdown.register
def _(block: Banner, folder: Path) -> str:
    return f"> {block.text}"


@_markdown.register
def _(block: Folded, folder: Path) -> str:
    return f"{block.title}:\n\n{_markdown(Items(block.texts), folder)}"


@_markdown.register
def _(block: Explorer, folder: Path) -> str:
    return "The page `report.html` shows each of them alone, by photograph and method."


@_markdown.register
def _(block: Picture, folder: Path) -> str:
    return f"![{block.title}]({Path(os.path.relpath(block.path, folder)).as_posix()})\n\n{block.caption}"


@_markdown.register
def _(block: Grid, folder: Path) -> str:
    """Headings of several lines are joined, as Markdown has one."""
    spread = [[text for text, span in line for _ in range(span)] for line in block.heads]
    heads = [_escape(_unlinked(" ".join(dict.fromkeys(filter(None, column))))) for column in zip(*spread)]
    side = "---:" if block.kind == "numbers" else "---"
    lines = [
        heads,
        ["---", *[side] * (len(heads) - 1)],
        *([_cell(cell) for cell in row] for row in block.rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(cell: Cell) -> str:
    return _escape(_unlinked(" ".join(filter(None, (cell.text, MARKS[cell.state], cell.detail)))))


def _unlinked(text: str) -> str:
    """The text without links; those of grids lead to lines, which Markdown cannot link to."""
    return ANCHOR_LINK.sub(r"\1", text)


def _escape(text: str) -> str:
    """Text that would end a cell or begin a link."""
    for character in "\\|[]":
        text = text.replace(character, "\\" + character)
    return text
