"""The section of deviations of the published protocol, each with its effect in numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from reproduce.experiments.base import Deviation, Effect
from reproduce.report.content import Given
from reproduce.report.document import Block, Cell, Command, Grid, Heading, Items, Paragraph
from reproduce.report.sections.making import seeds, stage_times
from reproduce.saliency.fake_cam_boxes import CSV


def deviations_section(given: Given) -> Iterator[Block]:
    """Those of every experiment, and the row that follows from ImageNet's boxes alone."""
    yield Heading(2, "Deviations of the published protocol", "deviations")
    yield Paragraph(
        "Where the published protocol is in error, is not stated, or is changed here, and what that does to the "
        "numbers. All numbers are from stored results; what was not run says so."
    )
    for outcome in given.told:
        for deviation in outcome.deviations:
            yield from _deviation(deviation, given.command(*deviation.command.split()))
            if deviation.effects:
                yield Paragraph(
                    f"Seeds: {seeds(given, outcome.experiment.paper)}. Time: {stage_times(given, outcome.experiment)}.",
                    small=True,
                )
    boxes = _imagenet_boxes(given.measured(CSV.parent.name) / CSV.name)
    yield from _deviation(boxes, f"python -m reproduce {boxes.command}")


def _deviation(deviation: Deviation, command: str) -> Iterator[Block]:
    one, other = deviation.ways
    yield Heading(3, deviation.title)
    yield Items([f"Published: {deviation.published}.", f"Here: {deviation.here}."])
    if deviation.effects:
        heads = [[(name, 1) for name in ("number", one, other, "difference")]]
        yield Grid(heads, [_line(effect) for effect in deviation.effects])
    else:
        yield Paragraph("Not run. The command that measures it:")
    yield Command(command)


def _line(effect: Effect) -> list[Cell]:
    """Both numbers to three significant digits below 1 and to one decimal above, and the step between them."""
    unit = f" {effect.unit}" if effect.unit not in ("", "1") else ""
    step = effect.other - effect.one
    return [
        Cell(effect.quantity),
        *(Cell(_number(value) + (unit if value == value else "")) for value in (effect.one, effect.other)),
        Cell(f"{'+' if step >= 0 else '-'}{_number(abs(step))}{unit}" if step == step else ""),
    ]


def _number(value: float) -> str:
    if value != value:
        return "not printed"
    if value == 0 or abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.3g}" if abs(value) < 1 else f"{value:.2f}"


def _imagenet_boxes(path: Path) -> Deviation:
    """Fake-CAM's localisation on ImageNet's boxes, where the check has been run."""
    effects: tuple[Effect, ...] = ()
    if path.is_file():
        table = pd.read_csv(path)
        effects = tuple(
            Effect(
                f"{row.metric} of a uniform map on the boxes of {row.images} ImageNet pictures, published as "
                f"{row.published:.1f}",
                row.legacy,
                row.paper,
                "%",
            )
            for row in table.itertuples()
            if not pd.isna(row.paper)
        )
    return Deviation(
        "ImageNet's boxes, cut off and transposed",
        "boxes that begin outside the cropped image are empty or lie on the wrong side; EP of a uniform map is "
        "the share of the image that the mask of the bounding-box study covers",
        "the boxes cut at the image's edge",
        effects,
        "check fake-cam-boxes --boxes DIR --output figures",
        ways=("the authors' code", "the formulas"),
    )
