"""Opti-CAM Figure A.4: selectivity, maps raised to a power."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.figure import Figure

from reproduce.experiments.base import Claim
from reproduce.experiments.comparisons import best, of_network
from reproduce.experiments.line_plots import line_figure
from reproduce.experiments.opticam.saliency_experiment import (
    SaliencyExperiment,
    image_counts,
    in_order,
    where_comparable,
)
from reproduce.published.numbers import labelled
from reproduce.saliency.metric_groups import ALPHAS, GROUPS
from reproduce.saliency.requests import Request
from reproduce.workspace.workspace import Workspace

METHODS = ("Grad-CAM", "Opti-CAM")
SCORES = ("AD", "AG", "AI")
OPTIMUM = "the map was optimised as it is, at exponent 1"
TIES = "AI counts images, so that on some dozens of them neighbouring exponents tie, and a tie is no win"


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

    def claims(self, workspace: Workspace) -> list[Claim]:
        """Appendix F.1: Opti-CAM's gain and increase are highest at α = 1."""
        rows = self.rows(workspace, GROUPS["selectivity"].names)
        rows = rows[rows["method"] == "Opti-CAM"]
        named = [name.split(" ") for name in rows["metric"]]
        rows = rows.assign(
            metric=[score for score, _ in named],
            method=[labelled("Opti-CAM", f"exponent {alpha}") for _, alpha in named],
        )
        return [
            found.because(OPTIMUM) if metric == "AG" else where_comparable(workspace, found, TIES)
            for network in self.networks(workspace)
            for metric, words in (("AG", "The average gain"), ("AI", "The average increase"))
            for found in [
                best(
                    f"{words} of Opti-CAM's maps is highest at exponent 1 on {network}",
                    of_network(rows, network),
                    metric,
                    labelled("Opti-CAM", "exponent 1"),
                )
            ]
        ]
