"""What an experiment is: work to do, and tables, figures, results and deviations made of stored results."""

from __future__ import annotations

from abc import ABC
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import pandas as pd
from matplotlib.figure import Figure

from reproduce.saliency.requests import Request
from reproduce.tables.layout import Table
from reproduce.workspace.profile import Profile
from reproduce.workspace.workspace import Workspace


@dataclass(frozen=True)
class Effect:
    """One number measured two ways; which ways is said by the deviation."""

    quantity: str
    one: float
    other: float
    unit: str = ""


@dataclass(frozen=True)
class Deviation:
    """A place where the published protocol is in error, unstated or changed here, and what it does to numbers.

    published, here: the two protocols, in words. effects: numbers under both, from stored results; none where
    nothing was run. command: arguments of `python -m reproduce` that measure them. ways: headings of the two
    numbers of an effect.
    """

    title: str
    published: str
    here: str
    effects: tuple[Effect, ...]
    command: str
    ways: tuple[str, str] = ("as published", "here")


class Experiment(ABC):
    """One published table or figure. All that it tells is a function of the store alone.

    drawing: about how long its figures take, beside a figure of lines.
    """

    name: str
    paper: str
    title: str
    drawing = 1.0

    def applies(self, profile: Profile) -> bool:
        """Whether the profile has what this experiment runs on."""
        return True

    def networks(self, workspace: Workspace) -> Iterable[str]:
        """Names of the networks that this experiment loads."""
        return ()

    def requests(self, workspace: Workspace) -> list[Request]:
        """Saliency maps that this experiment needs; those of all experiments are computed together."""
        return []

    def run(self, workspace: Workspace) -> None:
        """Compute and store what is missing, beside the maps asked for."""

    def forget(self, workspace: Workspace) -> None:
        """Delete what this experiment has stored, so that it is computed again."""

    def tables(self, workspace: Workspace) -> Mapping[str, Table]:
        """Tables by file name."""
        return {}

    def figures(self, workspace: Workspace) -> Mapping[str, Figure]:
        """Figures by file name."""
        return {}

    def results(self, workspace: Workspace) -> Mapping[str, pd.DataFrame]:
        """What claims are judged on: stored rows by published table or figure, or by a table of this project.

        Columns: network (the published name), own (the measured one), method, image ("seed 0" and so on where the
        repeats are training runs), metric, value, and dataset where a table has several.
        """
        return {}

    def deviations(self, workspace: Workspace) -> list[Deviation]:
        """Deviations of the published protocol whose effect these results tell."""
        return []
