"""The section of figures, each with the command and the commit that drew it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from reproduce.report.content import Given
from reproduce.report.document import Block, Heading, Paragraph, Picture


def figures_section(given: Given) -> Iterator[Block]:
    """Every figure that lies in the folder."""
    yield Heading(2, "Figures", "figures")
    none = True
    for outcome in given.told:
        entry = given.drawn.entry(outcome.experiment.name, "figures")
        if entry is None:
            continue
        pictures = [given.folder / name for name in entry.files if name.endswith(".png")]
        for place, path in enumerate(path for path in pictures if path.is_file()):
            none = False
            if place == 0:
                yield Heading(3, f"{outcome.experiment.paper}: {outcome.experiment.title}")
            draw = given.command("figures", "--only", outcome.experiment.name)
            yield Picture(
                path,
                _words(path),
                f"`{path.name}`, drawn by `{draw}` at commit {entry.commit}; data by "
                f"`{given.recompute(outcome)}`.",
            )
    if none:
        yield Paragraph(f"None is drawn yet: `{given.command('figures')}`.")


def _words(path: Path) -> str:
    return path.stem.replace("_", " ")
