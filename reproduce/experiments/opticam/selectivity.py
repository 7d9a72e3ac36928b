"""Opti-CAM Figure A.4: selectivity, maps raised to a power."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from reproduce.experiments.opticam.mean_curves import mean_curves
from reproduce.experiments.opticam.saliency_experiment import MeasuredBeside
from reproduce.published.numbers import labelled
from reproduce.saliency.explained_batch import SCORES
from reproduce.saliency.metric_groups import ALPHAS, GROUPS
from reproduce.saliency.requests import Request
from reproduce.workspace.workspace import Workspace

METHODS = ("Grad-CAM", "Opti-CAM")


class SelectivityFigure(MeasuredBeside):
    """AD, AG and AI of maps^α: below 1 maps become flat, above 1 they become peaks."""

    name = "opticam-selectivity"
    title = "Figure A.4: selectivity"
    table = "opticam_table6"
    figure = "opticam_figureA4"
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
        return mean_curves(
            self.rows(workspace, GROUPS["selectivity"].names),
            "opticam_selectivity",
            "Maps raised to a power on {}",
            {score: {alpha: f"{score} {alpha:g}" for alpha in ALPHAS} for score in SCORES},
            across="exponent",
            up=[f"{score} (%)" for score in SCORES],
            logarithmic=True,
        )

    def measured(self, workspace: Workspace) -> pd.DataFrame:
        """Scores, one method an exponent."""
        rows = self.rows(workspace, GROUPS["selectivity"].names)
        named = rows["metric"].str.split(" ", expand=True).reindex(columns=[0, 1])
        exponents = [labelled(*pair) for pair in zip(rows["method"], "exponent " + named[1].astype(str))]
        return rows.assign(metric=named[0], method=exponents)
