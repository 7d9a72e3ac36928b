"""What DP-Net's experiments have in common."""

from __future__ import annotations

from collections.abc import Iterable

from reproduce.experiments.base import Experiment
from reproduce.workspace.profile import Profile
from reproduce.workspace.workspace import Workspace


class PartsExperiment(Experiment):
    """An experiment on parts, wherever the profile has data sets for DP-Net."""

    paper = "DP-Net"

    def applies(self, profile: Profile) -> bool:
        """Wherever the profile has data sets for DP-Net."""
        return profile.parts is not None

    def networks(self, workspace: Workspace) -> Iterable[str]:
        """The profile's backbones."""
        return workspace.parts.backbones
