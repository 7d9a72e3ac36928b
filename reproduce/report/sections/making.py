"""How a table was made, in a line below it: images or runs, seeds, and the time that its stages took."""

from __future__ import annotations

import pandas as pd

from opticam.sample.pictures import SPLITS, VARIANTS
from reproduce.experiments.base import Experiment
from reproduce.experiments.computing import MAPS
from reproduce.report.content import Given
from reproduce.report.document import Paragraph
from reproduce.tables.cells import measured_counts
from reproduce.tables.layout import Table
from reproduce.workspace.workspace import Workspace

SEEDS = "methods are deterministic, those that draw samples have a fixed seed; bootstrap seed 0"


def how_made(given: Given, experiment: Experiment, table: Table) -> Paragraph:
    """The line of one table."""
    return Paragraph(
        f"Made {_images(given, experiment, table)}; {stage_times(given, experiment)}.", small=True
    )


def seeds(given: Given, paper: str) -> str:
    """The seeds of a paper's numbers, in words."""
    parts = given.workspace.profile.parts
    if paper != "DP-Net" or parts is None:
        return SEEDS
    count = 1 if given.workspace.profile.limit else parts.seeds
    return "seed 0" if count == 1 else f"seeds 0 to {count - 1}"


def stage_times(given: Given, experiment: Experiment) -> str:
    """Which stages of the runs in the store computed an experiment, and how long each took."""
    names = _stages(experiment)
    if not names:
        return "it has no stage of its own, but reads what others have stored"
    return "; ".join(f"stage `{name}`{_shared(name)} {took(given.stages, name)}" for name in names)


def _images(given: Given, experiment: Experiment, table: Table) -> str:
    count = measured_counts(table.cells)
    if not count:
        return f"from nothing yet ({seeds(given, experiment.paper)})"
    s = "" if count == "1" else "s"
    if experiment.paper != "DP-Net":
        return f"from {count} image{s}; {seeds(given, experiment.paper)}"
    pictures = test_pictures(given.workspace)
    return f"from {count} training run{s} or picture{s} a cell{pictures}; {seeds(given, experiment.paper)}"


def test_pictures(workspace: Workspace) -> str:
    """How many test pictures each drawn data set of DP-Net has, in brackets; "" for other data."""
    parts = workspace.profile.parts
    if parts is None or parts.source != "sample":
        return ""
    return f" (test pictures: {', '.join(f'{name} {_size(name)}' for name in parts.datasets)})"


def _size(name: str) -> int:
    variant = VARIANTS[name]
    return variant.per_class[SPLITS.index("test")] * len(variant.class_parts)


def _stages(experiment: Experiment) -> list[str]:
    """The stages that compute an experiment, as `computing` records them."""
    kind = type(experiment)
    shared = [MAPS] if kind.requests is not Experiment.requests else []
    return shared + ([experiment.name] if kind.run is not Experiment.run else [])


def _shared(name: str) -> str:
    return ", shared by all tables of maps," if name == MAPS else ""


def took(stages: pd.DataFrame, name: str) -> str:
    """The longest run of a stage, which is the one that did its work."""
    times: pd.Series = stages.loc[stages["stage"] == name, "seconds"]
    return "has no recorded time" if times.empty else f"took {times.max():.1f} s"
