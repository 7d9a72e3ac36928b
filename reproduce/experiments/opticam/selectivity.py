"""Opti-CAM Figure A.4: selectivity, maps raised to a power."""

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
from reproduce.published.numbers import labelled
from reproduce.saliency.explained_batch import SCORES
from reproduce.saliency.metric_groups import ALPHAS, GROUPS
from reproduce.saliency.requests import Request
from reproduce.workspace.workspace import Workspace

METHODS = ("Grad-CAM", "Opti-CAM")
FIGURE = "opticam_figureA4"


class SelectivityFigure(SaliencyExperiment):
    """AD, AG and AI of maps^α: below 1 maps become flat, above 1 they become peaks."""

    name = "opticam-selectivity"
    title = "Figure A.4: selectivity"
    table = "opticam_table6"
    stands_in = True

    def requests(self, workspace: Workspace) -> list[Request]:
        """Opti-CAM and Grad-CAM."""
        return [
            self.request(workspace, network, method, "selectivity")
            for network in self.networks(workspace)
            for method in METHODS
        ]

    def figures(self, workspace: Workspace) -> Mapping[str, Figure]:
        """One panel a score."""
        rows = self.rows(workspace, GROUPS["selectivity"].names)
        figures = {}
        for network in rows["network"].unique():
            means = of_network(rows, network).groupby(["method", "metric"])["value"].mean()
            panels = {
                score: {
                    method: (ALPHAS, [means[method, f"{score} {alpha:g}"] for alpha in ALPHAS])
                    for method in in_order(means.index.unique("method"))
                }
                for score in SCORES
            }
            title = f"Maps raised to a power on {network}, {image_counts(of_network(rows, network))}"
            figures[f"opticam_selectivity_{network}"] = line_figure(
                panels,
                title=title,
                across="exponent",
                up=[f"{score} (%)" for score in SCORES],
                logarithmic=True,
            )
        return figures

    def results(self, workspace: Workspace) -> Mapping[str, pd.DataFrame]:
        """Figure A.4, one method an exponent."""
        rows = self.rows(workspace, GROUPS["selectivity"].names)
        named = rows["metric"].str.split(" ", expand=True).reindex(columns=[0, 1])
        exponents = [labelled(*pair) for pair in zip(rows["method"], "exponent " + named[1].astype(str))]
        rows = rows.assign(metric=named[0], method=exponents)
        return {FIGURE: beside_published(rows, self.networks(workspace))}
