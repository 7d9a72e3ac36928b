"""A document as one HTML file: no script, no external resource, pictures inside."""

from __future__ import annotations

import html
import re
from functools import singledispatch
from pathlib import Path

from reproduce.report.document import (
    MARKS,
    Block,
    Cell,
    Command,
    Document,
    Grid,
    Heading,
    Items,
    Legend,
    Paragraph,
    Picture,
    State,
)
from reproduce.report.embedding import data_uri

STYLE = Path(__file__).with_name("report.css")


def to_html(document: Document) -> str:
    """The page, complete and self-contained."""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(document.title)}</title>
<link rel="icon" href="data:,">
<style>
{STYLE.read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
{_contents(document)}
</main>
</body>
</html>
"""


def _contents(document: Document) -> str:
    """All blocks, with links to the sections after the title."""
    links = [
        f'<a href="#{block.anchor}">{_inline(block.text)}</a>'
        for block in document.blocks
        if isinstance(block, Heading) and block.level == 2
    ]
    first, *others = [_html(block) for block in document.blocks]
    return "\n".join([first, f'<nav aria-label="Sections">{" ".join(links)}</nav>', *others])


@singledispatch
def _html(block: Block) -> str:
    raise TypeError(f"no HTML for a {type(block).__name__}")


@_html.register
def _(block: Heading) -> str:
    anchor = f' id="{block.anchor}"' if block.anchor else ""
    return f"<h{block.level}{anchor}>{_inline(block.text)}</h{block.level}>"


@_html.register
def _(block: Paragraph) -> str:
    return f"<p{_small(block.small)}>{_inline(block.text)}</p>"


@_html.register
def _(block: Items) -> str:
    items = "".join(f"<li>{_inline(text)}</li>" for text in block.texts)
    return f"<ul{_small(block.small)}>{items}</ul>"


@_html.register
def _(block: Command) -> str:
    return f'<pre tabindex="0"><code>{html.escape(block.line)}</code></pre>'


@_html.register
def _(block: Legend) -> str:
    entries = "".join(
        f'<li><span class="state {_class(state)}">{MARKS[state]} {state}</span> {_inline(text)}</li>'
        for state, text in block.meanings
    )
    return f'<ul class="legend">{entries}</ul>'


@_html.register
def _(block: Picture) -> str:
    return (
        f'<figure><img src="{data_uri(block.path)}" alt="{html.escape(block.title, quote=True)}">'
        f"<figcaption>{_inline(block.caption)}</figcaption></figure>"
    )


@_html.register
def _(block: Grid) -> str:
    *groups, last = block.heads
    heads = [_head_line(line, "colgroup") for line in groups] + [_head_line(last, "col")]
    rows = "".join(f"<tr>{_row(row)}</tr>\n" for row in block.rows)
    # The box scrolls, never the page; it takes the focus, so that keys can scroll it.
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="table"><table class="{block.kind}">\n'
        f"<thead>{''.join(heads)}</thead>\n<tbody>\n{rows}</tbody></table></div>"
    )


def _head_line(line: list[tuple[str, int]], scope: str) -> str:
    cells = (
        f'<th scope="{scope}"{f" colspan={span}" if span > 1 else ""}>{_inline(text)}</th>'
        for text, span in line
    )
    return f"<tr>{''.join(cells)}</tr>"


def _row(row: list[Cell]) -> str:
    first, *others = row
    return f'<th scope="row">{_inside(first)}</th>' + "".join(_cell(cell) for cell in others)


def _cell(cell: Cell) -> str:
    if not cell.state:
        return f"<td>{_inside(cell)}</td>"
    return f'<td class="{_class(cell.state)}" title="{cell.state}">{_inside(cell)}</td>'


def _inside(cell: Cell) -> str:
    mark = f' <span class="mark" aria-hidden="true">{MARKS[cell.state]}</span>' if cell.state else ""
    spoken = f'<span class="spoken"> {cell.state}</span>' if cell.state not in ("", cell.text) else ""
    detail = f'<span class="detail">{_inline(cell.detail)}</span>' if cell.detail else ""
    return f"{_inline(cell.text)}{mark}{spoken}{detail}"


def _class(state: State) -> str:
    return state.replace(" ", "-")


def _small(small: bool) -> str:
    return ' class="small"' if small else ""


def _inline(text: str) -> str:
    """`code` and **strong** words of a text; everything else is escaped."""
    escaped = html.escape(text, quote=False)
    coded = re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", coded)
