"""Opti-CAM Table 3: insertion and deletion of every method, and the curves behind them."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from reproduce.experiments.opticam.mean_curves import mean_curves
from reproduce.experiments.opticam.saliency_experiment import MeasuredBeside
from reproduce.saliency.metric_groups import CURVE_POINTS, GROUPS
from reproduce.saliency.requests import Request
from reproduce.tables.layout import Table, summarise
from reproduce.workspace.workspace import Workspace

CURVES = ("insertion", "deletion")
CURVE_IMAGES = 1000


class CausalTable(MeasuredBeside):
    """I and D of the predicted class, as many steps as an image has columns; deletion to black and to grey."""

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
        caption = "Opti-CAM Table 3: insertion and deletion of the predicted class, deletion to black"
        tables = {self.table: self.table_of(workspace, summarise(self.measured(workspace)), caption)}
        grey = self.rows(workspace, ["grey deletion"])
        if len(grey) and workspace.saliency.comparable:
            measured = summarise(grey.assign(metric="deletion"))
            tables["opticam_table3_grey"] = self.table_of(
                workspace, measured, "Opti-CAM Table 3, deletion to the mean colour instead of black"
            )
        return tables

    def figures(self, workspace: Workspace) -> Mapping[str, Figure]:
        """The mean curves of all methods, one figure per network."""
        places = {100 * point / (CURVE_POINTS - 1): point for point in range(CURVE_POINTS)}
        panels = {curve: {share: f"{curve} {point}" for share, point in places.items()} for curve in CURVES}
        return mean_curves(
            self.rows(workspace, GROUPS["curves"].names),
            "opticam_curves",
            "Insertion and deletion on {}",
            panels,
            across="pixels that appeared or vanished (%)",
            up="probability of the predicted class (%)",
        )

    def measured(self, workspace: Workspace) -> pd.DataFrame:
        """Insertion and deletion to black."""
        return self.rows(workspace, CURVES)
