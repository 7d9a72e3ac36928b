"""Opti-CAM Figure A.5: iterations x learning rate."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from reproduce.experiments.line_plots import line_figure
from reproduce.experiments.opticam.saliency_experiment import (
    MeasuredBeside,
    image_counts,
    of_network,
)
from reproduce.experiments.opticam.variants import opticam_request
from reproduce.published.numbers import labelled
from reproduce.saliency.course_groups import AFTER, ITERATIONS
from reproduce.saliency.explained_batch import SCORES
from reproduce.saliency.requests import Request
from reproduce.workspace.workspace import Workspace

RATES = (0.01, 0.1, 1.0)


class IterationFigure(MeasuredBeside):
    """AD, AG and AI by the number of iterations, one line per learning rate."""

    name = "opticam-iterations"
    title = "Figure A.5: iterations x learning rate"
    table = "opticam_table6"
    figure = "opticam_figureA5"
    stands_in = True

    def requests(self, workspace: Workspace) -> list[Request]:
        """Every learning rate, with all numbers of iterations in one optimisation."""
        return [
            opticam_request(
                self,
                workspace,
                network,
                rate_label(rate),
                {"iterations": max(ITERATIONS), "learning_rate": rate},
                "after iterations",
            )
            for network in self.networks(workspace)
            for rate in RATES
        ]

    def figures(self, workspace: Workspace) -> Mapping[str, Figure]:
        """One panel a score."""
        rows = self.measured(workspace)
        figures = {}
        for network in rows["network"].unique():
            means = of_network(rows, network).groupby(["method", "metric"])["value"].mean()
            panels = {
                score: {
                    f"learning rate {rate:g}": (
                        ITERATIONS,
                        [means.get((setting_label(count, rate), score)) for count in ITERATIONS],
                    )
                    for rate in RATES
                }
                for score in SCORES
            }
            title = f"Opti-CAM's iterations and learning rate on {network}, {image_counts(of_network(rows, network))}"
            figures[f"opticam_iterations_{network}"] = line_figure(
                panels, title=title, across="iterations", up=[f"{score} (%)" for score in SCORES]
            )
        return figures

    def measured(self, workspace: Workspace) -> pd.DataFrame:
        """Stored rows of all rates, those of each number of iterations under a label of their own."""
        rows = self.rows(workspace, tuple(AFTER.values()), set(map(rate_label, RATES)).__contains__)
        settings = {
            (rate_label(rate), name): (setting_label(count, rate), score)
            for rate in RATES
            for (score, count), name in AFTER.items()
        }
        found = [settings[key] for key in zip(rows["method"], rows["metric"])]
        return rows.assign(method=[label for label, _ in found], metric=[score for _, score in found])


def setting_label(iterations: int, rate: float) -> str:
    """The label of a setting in tables."""
    return labelled("Opti-CAM", f"{iterations} iterations at {rate:g} rate")


def rate_label(rate: float) -> str:
    """The label of a learning rate in the store."""
    return labelled("Opti-CAM", f"learning rate {rate:g}")
