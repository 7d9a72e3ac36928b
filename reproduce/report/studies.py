"""The section of studies on photographs, read from the files that the studies write."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from reproduce.report.benchmarks import from_frame, from_markdown
from reproduce.report.blocks import Block, Heading, Paragraph
from reproduce.report.given import Given

FOLDER = "studies"


def studies_section(given: Given) -> Iterator[Block]:
    """Every study's Markdown; the CSV files that belong to none are shown as they are."""
    folder = given.folder / FOLDER
    told = sorted(folder.glob("*.md"))
    alone = [path for path in sorted(folder.glob("*.csv")) if not path.stem.startswith(_stems(told))]
    yield Heading(2, "Studies on photographs", "studies")
    if not told and not alone:
        yield Paragraph("**Not yet measured.**")
        return
    yield Paragraph("Other pictures or networks than the papers': no number here is comparable with theirs.")
    for path in told:
        text = path.read_text(encoding="utf-8")
        yield Heading(3, text.splitlines()[0].lstrip("# "))
        yield from from_markdown(text)
        yield Paragraph(f"From `{FOLDER}/{path.name}`.", small=True)
    for path in alone:
        yield Heading(3, path.stem.replace("_", " ").capitalize())
        yield from_frame(pd.read_csv(path))
        yield Paragraph(f"From `{FOLDER}/{path.name}`.", small=True)


def _stems(paths: list[Path]) -> tuple[str, ...]:
    return tuple(path.stem for path in paths)
