"""Put the sections together and write them as one HTML file and as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from opticam.data.files import write_text
from reproduce.report.content import MEASURED, Given
from reproduce.report.document import Block, Document
from reproduce.report.downloads import with_downloads
from reproduce.report.html import to_html
from reproduce.report.markdown import to_markdown
from reproduce.report.sections.benchmarks import benchmarks_section
from reproduce.report.sections.claims import claims_section, own_statements_section
from reproduce.report.sections.deviations import deviations_section
from reproduce.report.sections.environment import environment_section
from reproduce.report.sections.figures import figures_section
from reproduce.report.sections.photographs import photographs_read, photographs_section
from reproduce.report.sections.studies import studies_section
from reproduce.report.sections.summary import TITLE, summary_section
from reproduce.report.sections.tables import tables_section
from reproduce.workspace.fingerprint import file_digest
from reproduce.workspace.paths import committed_tables
from reproduce.workspace.processes import is_first, is_last, several, to_first

Section = Callable[[Given], Iterator[Block]]
SECTIONS: tuple[Section, ...] = (
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
OF_THE_LAST = (deviations_section, *NOT_OF_EXCERPTS)
"""Sections that the last of several processes makes: they read no table, which the first has made already."""
HTML, MARKDOWN = "report.html", "REPORT.md"


def report_digest(given: Given, start: str) -> str:
    """Changes with anything that the report is made of: `start`, and what it reads beside the results.

    That is what is measured apart from a run, the photographs, the published tables, and the store's runs and stages.
    """
    pictures, time = photographs_read(given)
    folders = [*map(given.measured, MEASURED), committed_tables(given.workspace.profile.name)]
    files = [path for folder in folders if folder for path in sorted(folder.rglob("*")) if path.is_file()]
    facts = given.workspace.store.runs().to_csv(), given.stages.to_csv(), time
    return file_digest([*files, *pictures], start + "".join(facts))


def write_report(given: Given) -> list[Path]:
    """Write both forms into the folder; gives their paths. Of several processes all are to call it.

    The first one writes; the last makes sections of its own before.
    """
    made = to_first({section: list(section(given)) for section in _own_sections(given)})
    if not is_first():
        return []
    blocks = (block for section in SECTIONS for block in made.get(section, ()))
    document = Document(TITLE, list(with_downloads(blocks)))
    texts = {HTML: to_html(document), MARKDOWN: to_markdown(document, given.folder)}
    for name, text in texts.items():
        write_text(given.folder / name, text)
    return [given.folder / name for name in texts]


def _own_sections(given: Given) -> list[Section]:
    """The report's sections that this process makes."""
    left_out = NOT_OF_EXCERPTS if given.workspace.profile.is_excerpt else ()
    asked = [section for section in SECTIONS if section not in left_out]
    if not several():
        return asked
    return [section for section in asked if (is_last() if section in OF_THE_LAST else is_first())]
