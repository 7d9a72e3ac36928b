"""The section of real photographs: the last run of the profile `photographs`, beside this one's results."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from opticam import METHODS
from opticam.data.photographs import PHOTOGRAPHS
from opticam.networks import class_names
from opticam.plotting import overlay
from reproduce.experiments.computing import MAPS
from reproduce.experiments.opticam.maps import DATA
from reproduce.experiments.opticam.photographs import CLASS, MASKED, PhotographsFigure
from reproduce.report.content import Given
from reproduce.report.document import Block, Command, Explanation, Explorer, Heading, Paragraph, Picture
from reproduce.report.sections.benchmarks import from_markdown
from reproduce.report.sections.making import SEEDS, took
from reproduce.workspace.paths import PUBLISHABLE, PUBLISHED
from reproduce.workspace.profile import load_profile
from reproduce.workspace.workspace import Workspace

PROFILE = "photographs"


def photographs_read(given: Given) -> tuple[list[Path], str]:
    """What the section is made of: files, and a line on the time that is read from a store."""
    folder = _folder(given)
    return [*_pictures(folder), *_tables(folder), *sorted((_own(given) / DATA).glob("*"))], _time(given)


def photographs_section(given: Given) -> Iterator[Block]:
    """The figure of all photographs and the table of scores, or what would make them."""
    yield Heading(2, "Photographs", "photographs")
    folder = _folder(given)
    command = f"python -m reproduce run --profile {PROFILE}"
    pictures = _pictures(folder)
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
    found = list(_explanations(given))
    if found:
        yield Paragraph("One at a time:")
        yield Explorer(found)
    for path in _tables(folder):
        yield from from_markdown(path.read_text(encoding="utf-8"))
        yield Command(command)
        yield Paragraph(f"Made from {len(PHOTOGRAPHS)} photographs; {SEEDS}; {_time(given)}.", small=True)


def _pictures(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.glob("photographs_*.png")) if path.is_file()]


def _tables(folder: Path) -> list[Path]:
    return sorted((folder / "tables").glob("opticam_*.md"))


def _time(given: Given) -> str:
    """How long the stage of the maps took in this machine's own run."""
    results = _own(given)
    if not (results / "tables").is_dir():
        return "the time of the published run is not recorded"
    return f"stage `{MAPS}` {took(Workspace(load_profile(PROFILE), results=results).store.stages(), MAPS)}"


def _explanations(given: Given) -> Iterator[Explanation]:
    """Photograph by photograph, what each method that was measured on it says; of this machine's own run only."""
    results = _own(given)
    if not results.is_dir():
        return
    workspace = Workspace(load_profile(PROFILE), results=results)
    for network, stored in PhotographsFigure().stored(workspace).items():
        classes = class_names(network)
        for place, name in enumerate(workspace.source.names[: len(stored["images"])]):
            image, label = stored["images"][place], int(stored["labels"][place])
            for method in (method for method in METHODS if place < len(stored.get(method, ()))):
                saliency_map = stored[method][place]
                yield Explanation(
                    name,
                    method,
                    classes[label] if classes else f"class {label}",
                    _pixels(overlay(image, saliency_map)),
                    _pixels((image * saliency_map).permute(1, 2, 0).numpy()),
                    float(stored[CLASS][place]),
                    float(stored[MASKED + method][place]),
                )


def _pixels(values: np.ndarray) -> np.ndarray:
    """Values in [0,1] as 8 bits."""
    return np.rint(255 * np.clip(values, 0, 1)).astype(np.uint8)


def _own(given: Given) -> Path:
    """Where this machine's own run lies, if there is one."""
    return given.workspace.results.parent / PROFILE


def _folder(given: Given) -> Path:
    """This machine's own run where there is one, else the published one; the published report shows published files."""
    own = _own(given)
    shows_own = (own / "tables").is_dir() and given.folder.resolve() != PUBLISHED
    return own if shows_own else PUBLISHABLE[PROFILE]
