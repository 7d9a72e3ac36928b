"""Put the sections together and write them as one HTML file and as Markdown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reproduce.report.content import Given
from reproduce.report.document import Block, Document
from reproduce.report.downloads import with_downloads
from reproduce.report.html import to_html
from reproduce.report.markdown import to_markdown
from reproduce.report.sections.benchmarks import benchmarks_section
from reproduce.report.sections.claims import claims_section, own_statements_section
from reproduce.report.sections.deviations import deviations_section
from reproduce.report.sections.environment import environment_section
from reproduce.report.sections.figures import figures_section
from reproduce.report.sections.photographs import photographs_section
from reproduce.report.sections.studies import studies_section
from reproduce.report.sections.summary import TITLE, summary_section
from reproduce.report.sections.tables import tables_section

SECTIONS = (
    summary_section,
    claims_section,
    photographs_section,
    tables_section,
    figures_section,
    own_statements_section,
    deviations_section,
    benchmarks_section,
    studies_section,
    environment_section,
)
NOT_OF_EXCERPTS = (benchmarks_section, studies_section)
"""Sections that no run fills; they belong to the reports of whole papers."""
HTML, MARKDOWN = "report.html", "REPORT.md"


def write_report(given: Given) -> list[Path]:
    """Write both forms into the folder; gives their paths."""
    document = Document(TITLE, list(with_downloads(_blocks(given))))
    texts = {HTML: to_html(document), MARKDOWN: to_markdown(document, given.folder)}
    for name, text in texts.items():
        (given.folder / name).write_text(text, encoding="utf-8")
    return [given.folder / name for name in texts]


def _blocks(given: Given) -> Iterator[Block]:
    excerpt = given.workspace.profile.is_excerpt
    for section in SECTIONS:
        if not (excerpt and section in NOT_OF_EXCERPTS):
            yield from section(given)
