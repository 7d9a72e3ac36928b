"""The section of studies beyond the papers, read from the files that the studies write."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from reproduce.report.content import Given
from reproduce.report.document import Block, Heading, Paragraph
from reproduce.report.sections.benchmarks import from_frame, from_markdown

FOLDER = "studies"


def studies_section(given: Given) -> Iterator[Block]:
    """Every study's Markdown, a folder's with its tables; CSV files that belong to none are shown as they are."""
    folder = given.measured(FOLDER)
    told = sorted(folder.glob("*.md"))
    alone = [path for path in sorted(folder.glob("*.csv")) if not path.stem.startswith(_stems(told))]
    folders = sorted(path.parent for path in folder.glob("*/README.md"))
    yield Heading(2, "Studies", "studies")
    if not told and not alone and not folders:
        yield Paragraph("**Not yet measured.**")
        return
    yield Paragraph(
        "What goes beyond the papers: photographs under other networks, and how far cells move between processors. No "
        "number here is comparable with the papers'."
    )
    for path in told:
        yield from _told(path, path.stem, path.name)
    for study in folders:
        yield from _told(study / "README.md", study.name, f"{study.name}/README.md")
        for path in sorted(study.glob("tables/*.md")):
            yield Heading(4, path.stem)
            yield from from_markdown(path.read_text(encoding="utf-8"))
            yield Paragraph(f"From `{FOLDER}/{study.name}/tables/{path.name}`.", small=True)
    for path in alone:
        yield Heading(3, path.stem.replace("_", " ").capitalize())
        yield from_frame(pd.read_csv(path))
        yield Paragraph(f"From `{FOLDER}/{path.name}`.", small=True)


def _told(path: Path, study: str, name: str) -> Iterator[Block]:
    """A study's text; what it links to in another study's folder is here that study's section."""
    text = re.sub(r"\]\(\.\./([\w-]+)/README\.md\)", r"](#study-\1)", path.read_text(encoding="utf-8"))
    yield Heading(3, text.splitlines()[0].lstrip("# "), f"study-{study}")
    yield from from_markdown(text)
    yield Paragraph(f"From `{FOLDER}/{name}`.", small=True)


def _stems(paths: list[Path]) -> tuple[str, ...]:
    return tuple(path.stem for path in paths)
