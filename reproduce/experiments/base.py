"""What an experiment is: work to do, and tables, figures and claims made of the stored results."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.figure import Figure

from reproduce.layout import Table
from reproduce.profile import Profile
from reproduce.requests import Request
from reproduce.workspace import Workspace


@dataclass(frozen=True)
class Claim:
    """A statement of a paper, judged on stored results; holds is None where the data is missing."""

    text: str
    holds: bool | None
    evidence: str


class Experiment(ABC):
    """One published table or figure. Tables, figures and claims are functions of the store alone."""

    name: str
    paper: str
    title: str

    def applies(self, profile: Profile) -> bool:
        """Whether the profile has what this experiment runs on."""
        return True

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

    def claims(self, workspace: Workspace) -> list[Claim]:
        """The paper's claims that these results can judge."""
        return []
