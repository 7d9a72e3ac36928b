"""A document as one HTML file that loads nothing: pictures inside, and a script without which all is readable, too."""

from __future__ import annotations

# Not Jinja2: the blocks of a document become HTML here and Markdown beside it, each by the function of its type;
# templates would hold the order of the page twice.
import html
import re
from collections.abc import Sequence
from functools import singledispatch
from pathlib import Path

from reproduce.report.document import (
    ANCHOR_LINK,
    MARKS,
    Banner,
    Bar,
    Bars,
    Block,
    Cell,
    Command,
    Document,
    Download,
    Explanation,
    Explorer,
    Folded,
    Grid,
    Heading,
    Items,
    Legend,
    Paragraph,
    Picture,
    State,
    Tiles,
    Whisker,
)
from reproduce.report.embedding import array_uri, data_uri, text_uri

STYLE, SCRIPT = (Path(__file__).with_name(f"report.{suffix}") for suffix in ("css", "js"))
WHISKER_WIDTH, WHISKER_HEIGHT = 150, 16


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
<script>
{SCRIPT.read_text(encoding="utf-8")}</script>
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
def _(block: Tiles) -> str:
    tiles = "".join(
        f"<div><dt>{_inline(tile.label)}</dt><dd>{_inline(tile.value)}{_detail(tile.detail)}</dd></div>"
        for tile in block.tiles
    )
    return f'<dl class="tiles">{tiles}</dl>'


@_html.register
def _(block: Bars) -> str:
    return f'<div class="bars">{"".join(map(_bar, block.bars))}</div>'


def _bar(bar: Bar) -> str:
    """One line: the label, then a link for each state, as long as its count."""
    links = "".join(
        f'<a class="{_class(state)}" style="flex-grow:{count}" href="#{anchor}" title="{count} {state}">'
        f'{count} {MARKS[state]}<span class="spoken"> {state}</span></a>'
        for state, count, anchor in bar.parts
        if count
    )
    return (
        f'<div><span>{_inline(bar.label)}{_detail(bar.detail)}</span><span class="track">{links}</span></div>'
    )


@_html.register
def _(block: Banner) -> str:
    return f'<p class="banner">{_inline(block.text)}</p>'


@_html.register
def _(block: Folded) -> str:
    return f"<details><summary>{_inline(block.title)}</summary>{_html(Items(block.texts))}</details>"


@_html.register
def _(block: Explorer) -> str:
    """Every explanation as a figure; the script shows the chosen one alone."""
    figures = "".join(map(_explanation, block.explanations))
    return f'<div class="explorer">{figures}</div>'


def _explanation(found: Explanation) -> str:
    images = "".join(
        f'<img src="{array_uri(pixels)}" width="{pixels.shape[1]}" height="{pixels.shape[0]}" loading="lazy" '
        f'alt="{html.escape(f"{found.photograph}, {found.method}: {what}", quote=True)}">'
        for what, pixels in (
            ("map over the photograph", found.map_over_photo),
            ("masked", found.masked_photo),
        )
    )
    text = f"{found.photograph}, {found.method}: {found.label}, p = {found.before:.2f} before, {found.after:.2f} masked"
    names = f'data-photograph="{html.escape(found.photograph)}" data-method="{html.escape(found.method)}"'
    return f"<figure {names}>{images}<figcaption>{html.escape(text)}</figcaption></figure>"


@_html.register
def _(block: Picture) -> str:
    narrow = ' class="narrow"' if block.narrow else ""
    return (
        f'<figure{narrow}><img src="{data_uri(block.path)}" alt="{html.escape(block.title, quote=True)}">'
        f"<figcaption>{_inline(block.caption)}</figcaption></figure>"
    )


@_html.register
def _(block: Grid) -> str:
    *groups, last = block.heads
    heads = [_head_line(line, "colgroup") for line in groups] + [_head_line(last, "col")]
    rows = "".join(f"<tr{_id(row[0].anchor)}>{_row(row)}</tr>\n" for row in block.rows)
    # The box scrolls, never the page; it takes the focus, so that keys can scroll it.
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="table">'
        f'<table class="{block.kind}{" filtered" if block.filtered else ""}">\n'
        f"<thead>{''.join(heads)}</thead>\n<tbody>\n{rows}</tbody></table></div>{_downloads(block.files)}"
    )


def _downloads(files: Sequence[Download]) -> str:
    """Links that keep a table; what they keep is in the links."""
    links = " ".join(
        f'<a download="{html.escape(file.name, quote=True)}" href="{text_uri(file.name, file.text)}" '
        f'aria-label="Download {html.escape(file.name, quote=True)}">{html.escape(file.words)}</a>'
        for file in files
    )
    return f'\n<p class="small downloads">Download {links}</p>' if links else ""


def _head_line(line: Sequence[tuple[str, int]], scope: str) -> str:
    cells = (
        f'<th scope="{scope}"{f" colspan={span}" if span > 1 else ""}>{_inline(text)}</th>'
        for text, span in line
    )
    return f"<tr>{''.join(cells)}</tr>"


def _id(anchor: str) -> str:
    return f' id="{anchor}"' if anchor else ""


def _row(row: Sequence[Cell]) -> str:
    first, *others = row
    return f'<th scope="row">{_inside(first)}</th>' + "".join(_cell(cell) for cell in others)


def _cell(cell: Cell) -> str:
    if not cell.state:
        return f"<td>{_inside(cell)}</td>"
    return f'<td class="{_class(cell.state)}" title="{cell.state}">{_inside(cell)}</td>'


def _inside(cell: Cell) -> str:
    mark = f' <span class="mark" aria-hidden="true">{MARKS[cell.state]}</span>' if cell.state else ""
    spoken = f'<span class="spoken"> {cell.state}</span>' if cell.state not in ("", cell.text) else ""
    drawing = _whisker(cell.whisker) if cell.whisker else ""
    return f"{_inline(cell.text)}{mark}{spoken}{_detail(cell.detail)}{drawing}"


def _detail(text: str) -> str:
    """A smaller line, where there is one."""
    return f'<span class="detail">{_inline(text)}</span>' if text else ""


def _whisker(whisker: Whisker) -> str:
    """The interval as a line, the measured difference as a dot, the published one as a hollow diamond."""
    values = [whisker.measured, whisker.low, whisker.high]
    values += [] if whisker.published is None else [whisker.published]
    reach = max(map(abs, values)) or 1.0
    middle, y = WHISKER_WIDTH / 2, WHISKER_HEIGHT / 2
    place = [round(middle + value / reach * (middle - 6), 1) for value in values]
    diamond = f'<path d="M{place[3]} {y - 5}l4 5l-4 5l-4-5z" class="hollow"/>' if len(place) > 3 else ""
    return (
        f'<svg class="whisker" width="{WHISKER_WIDTH}" height="{WHISKER_HEIGHT}" aria-hidden="true">'
        f'<path d="M{middle} 0v{WHISKER_HEIGHT}" class="zero"/><path d="M{place[1]} {y}H{place[2]}"/>'
        f'{diamond}<circle cx="{place[0]}" cy="{y}" r="3"/></svg>'
    )


def _class(state: State) -> str:
    return state.replace(" ", "-")


def _small(small: bool) -> str:
    return ' class="small"' if small else ""


def _inline(text: str) -> str:
    """`code`, **strong** words and [links](#anchor) of a text; everything else is escaped."""
    escaped = html.escape(text, quote=False)
    coded = re.sub(r"`([^`]+)`", r"<code>\1</code>", escaped)
    linked = ANCHOR_LINK.sub(r'<a href="#\2">\1</a>', coded)
    return re.sub(r"\*\*([^*]+)\*\*", r"<strong>\1</strong>", linked)
