"""The section of real photographs: the last run of the profile `photographs`, beside this one's results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from opticam.data.photographs import PHOTOGRAPHS
from reproduce.report.content import Given
from reproduce.report.document import Block, Command, Heading, Paragraph, Picture
from reproduce.report.sections.benchmarks import from_markdown
from reproduce.workspace.paths import PUBLISHABLE

PROFILE = "photographs"


def photographs_section(given: Given) -> Iterator[Block]:
    """The figure of all photographs and the table of scores, or what would make them."""
    yield Heading(2, "Photographs", "photographs")
    folder = _folder(given)
    command = f"python -m reproduce run --profile {PROFILE}"
    pictures = [path for path in sorted(folder.glob("photographs_*.png")) if path.is_file()]
    if not pictures:
        yield Paragraph("**Not run.**")
        yield Command(command)
        return
    whose = "; ".join(f"{name}: {photo.credit}, {photo.licence}" for name, photo in PHOTOGRAPHS.items())
    for path in pictures:
        network = path.stem.removeprefix("photographs_")
        yield Picture(
            path,
            f"Every photograph under every method on {network}",
            "The photograph with its predicted class and probability; for each method its map over the photograph, "
            f"and the masked photograph with the probability that is left. By `{command}`. Photographs: {whose}.",
        )
    for path in sorted((folder / "tables").glob("opticam_*.md")):
        yield from from_markdown(path.read_text(encoding="utf-8"))


def _folder(given: Given) -> Path:
    """This machine's own run where there is one, else the published one."""
    own = given.workspace.results.parent / PROFILE
    return own if (own / "tables").is_dir() else PUBLISHABLE[PROFILE]
