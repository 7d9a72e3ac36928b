"""Opti-CAM Table 3: insertion and deletion of every method, and the curves behind them."""

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
from reproduce.saliency.metric_groups import CURVE_POINTS
from reproduce.saliency.requests import Request
from reproduce.tables.layout import Table, summarise
from reproduce.workspace.workspace import Workspace

CURVES = ("insertion", "deletion")
CURVE_IMAGES = 1000


class CausalTable(SaliencyExperiment):
    """I and D of the predicted class, as many steps as an image has rows; deletion to black and to grey."""

    name = "opticam-causal"
    title = "Table 3: insertion and deletion, with their curves"
    table = "opticam_table3"

    def requests(self, workspace: Workspace) -> list[Request]:
        """Every method on every network of the table."""
        groups = ["causal"]
        if workspace.saliency.comparable:
            groups.append("grey deletion")  # which of the two the paper used is not known
        return [
            request
            for network in self.networks(workspace)
            for method in workspace.methods(network)
            for request in (
                self.request(workspace, network, method, *groups),
                self.request(
                    workspace, network, method, "curves", images=self.curve_count(workspace, method)
                ),
            )
        ]

    def curve_count(self, workspace: Workspace, method: str) -> int:
        """How many images a curve is the mean of; 34 numbers per image are not kept of all 50,000."""
        return min(CURVE_IMAGES, self.count(workspace, method))

    def tables(self, workspace: Workspace) -> Mapping[str, Table]:
        """Table 3; where deletion to grey was measured, a table of it beside the same published numbers."""
        rows = self.rows(workspace, CURVES)
        caption = "Opti-CAM Table 3: insertion and deletion of the predicted class, deletion to black"
        tables = {self.table: self.table_of(workspace, summarise(rows), caption)}
        grey = self.rows(workspace, ["grey deletion"])
        if len(grey) and workspace.saliency.comparable:
            measured = summarise(grey.assign(metric="deletion"))
            tables["opticam_table3_grey"] = self.table_of(
                workspace, measured, "Opti-CAM Table 3, deletion to the mean colour instead of black"
            )
        return tables

    def figures(self, workspace: Workspace) -> Mapping[str, Figure]:
        """The mean curves of all methods, one figure per network."""
        names = [f"{curve} {point}" for curve in CURVES for point in range(CURVE_POINTS)]
        rows = self.rows(workspace, names)
        shares = [100 * point / (CURVE_POINTS - 1) for point in range(CURVE_POINTS)]
        figures = {}
        for network in rows["network"].unique():
            means = of_network(rows, network).groupby(["method", "metric"])["value"].mean()
            panels = {
                curve: {
                    method: (shares, [means[method, f"{curve} {point}"] for point in range(CURVE_POINTS)])
                    for method in in_order(means.index.unique("method"))
                }
                for curve in CURVES
            }
            figures[f"opticam_curves_{network}"] = line_figure(
                panels,
                title=f"Insertion and deletion on {network}, {image_counts(of_network(rows, network))}",
                across="pixels that appeared or vanished (%)",
                up="probability of the predicted class (%)",
            )
        return figures

    def results(self, workspace: Workspace) -> Mapping[str, pd.DataFrame]:
        """Table 3."""
        rows = self.rows(workspace, CURVES)
        return {self.table: beside_published(rows, self.stored_networks(workspace))}
