"""Opti-CAM Figures A.6 and A.7: do maps change when the network forgets what it learned?"""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from reproduce.experiments.line_plots import line_figure
from reproduce.experiments.opticam.saliency_experiment import (
    SaliencyExperiment,
    beside_published,
    image_counts,
    in_order,
    of_network,
)
from reproduce.saliency.metric_groups import GROUPS, RANDOMISED_BLOCKS
from reproduce.saliency.requests import Request
from reproduce.workspace.workspace import Workspace

METHODS = ("Grad-CAM", "Opti-CAM")
STEPS = range(1, RANDOMISED_BLOCKS + 1)
FIGURE = "opticam_figureA6"


class SanityFigure(SaliencyExperiment):
    """Similarity to the trained network's maps as its blocks are randomised, from the output down."""

    name = "opticam-sanity"
    title = "Figures A.6 and A.7: sanity check by randomisation"
    table = "opticam_tableA9"
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
        rows = self.rows(workspace, GROUPS["sanity"].names)
        names = {"spearman": "Spearman", "hog": "HOG correlation", "ssim": "SSIM"}
        figures = {}
        for network in rows["network"].unique():
            means = of_network(rows, network).groupby(["method", "metric"])["value"].mean()
            panels = {
                title: {
                    method: ([0, *STEPS], [1.0, *(means[method, f"{name} {step}"] for step in STEPS)])
                    for method in in_order(means.index.unique("method"))
                }
                for name, title in names.items()
            }
            title = f"Randomised blocks of {network}, {image_counts(of_network(rows, network))}"
            figures[f"opticam_sanity_{network}"] = line_figure(
                panels, title=title, across="blocks randomised, from the output", up="similarity of the maps"
            )
        return figures

    def results(self, workspace: Workspace) -> Mapping[str, pd.DataFrame]:
        """Figure A.6, one metric a similarity and number of blocks."""
        rows = self.rows(workspace, GROUPS["sanity"].names)
        return {FIGURE: beside_published(rows, self.stored_networks(workspace))}
