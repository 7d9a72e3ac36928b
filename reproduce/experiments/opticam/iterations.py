"""Opti-CAM Figure A.5: iterations x learning rate."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from reproduce.experiments.line_plots import line_figure
from reproduce.experiments.opticam.saliency_experiment import (
    SaliencyExperiment,
    beside_published,
    image_counts,
    of_network,
)
from reproduce.experiments.opticam.variants import opticam_request
from reproduce.published.numbers import labelled, split_label
from reproduce.saliency.requests import Request
from reproduce.workspace.workspace import Workspace

ITERATIONS = (10, 20, 50, 100)
RATES = (0.01, 0.1, 1.0)
FIGURE = "opticam_figureA5"
SCORES = ("AD", "AG", "AI")


class IterationFigure(SaliencyExperiment):
    """AD, AG and AI by the number of iterations, one line per learning rate."""

    name = "opticam-iterations"
    title = "Figure A.5: iterations x learning rate"
    table = "opticam_table6"
    stands_in = True

    def requests(self, workspace: Workspace) -> list[Request]:
        """Every number of iterations with every learning rate."""
        return [
            opticam_request(
                self,
                workspace,
                network,
                setting_label(*setting),
                dict(zip(("iterations", "learning_rate"), setting)),
            )
            for network in self.networks(workspace)
            for setting in SETTINGS
        ]

    def figures(self, workspace: Workspace) -> Mapping[str, Figure]:
        """One panel a score."""
        rows = self.setting_rows(workspace)
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

    def results(self, workspace: Workspace) -> Mapping[str, pd.DataFrame]:
        """Figure A.5, by setting."""
        rows = self.setting_rows(workspace)
        return {FIGURE: beside_published(rows, self.stored_networks(workspace))}

    def setting_rows(self, workspace: Workspace) -> pd.DataFrame:
        """Stored rows of all settings."""
        return self.rows(workspace, SCORES, lambda label: split_label(label)[1].endswith("rate"))


def setting_label(iterations: int, rate: float) -> str:
    """The label of a setting."""
    return labelled("Opti-CAM", f"{iterations} iterations at {rate:g} rate")


SETTINGS = [(iterations, rate) for iterations in ITERATIONS for rate in RATES]
