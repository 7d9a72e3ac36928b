"""Opti-CAM Figures A.6 and A.7: do maps change when the network forgets what it learned?"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from reproduce.experiments.opticam.mean_curves import mean_curves
from reproduce.experiments.opticam.saliency_experiment import MeasuredBeside
from reproduce.saliency.metric_groups import GROUPS, RANDOMISED_BLOCKS
from reproduce.saliency.requests import Request
from reproduce.workspace.workspace import Workspace

METHODS = ("Grad-CAM", "Opti-CAM")
STEPS = range(1, RANDOMISED_BLOCKS + 1)


class SanityFigure(MeasuredBeside):
    """Similarity to the trained network's maps as its blocks are randomised, from the output down."""

    name = "opticam-sanity"
    title = "Figures A.6 and A.7: sanity check by randomisation"
    table = "opticam_tableA9"
    figure = "opticam_figureA6"
    stands_in = True

    def requests(self, workspace: Workspace) -> list[Request]:
        """Opti-CAM and Grad-CAM."""
        return [
            self.request(workspace, network, method, "sanity")
            for network in self.networks(workspace)
            for method in METHODS
        ]

    def figures(self, workspace: Workspace) -> Mapping[str, Figure]:
        """One panel a similarity."""
        names = {"Spearman": "spearman", "HOG correlation": "hog", "SSIM": "ssim"}
        return mean_curves(
            self.measured(workspace),
            "opticam_sanity",
            "Randomised blocks of {}",
            {title: {step: f"{name} {step}" for step in STEPS} for title, name in names.items()},
            start={0: 1.0},
            across="blocks randomised, from the output",
            up="similarity of the maps",
        )

    def measured(self, workspace: Workspace) -> pd.DataFrame:
        """Similarities by the number of randomised blocks."""
        return self.rows(workspace, GROUPS["sanity"].names)
