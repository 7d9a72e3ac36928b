"""Opti-CAM Table A.14: images that enter the network without its mean and standard deviation."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from reproduce.experiments.opticam.main import accuracies, with_batch_seconds
from reproduce.experiments.opticam.saliency_experiment import MeasuredBeside
from reproduce.published.numbers import labelled, published
from reproduce.saliency.requests import RAW_PIXELS, Request
from reproduce.tables.layout import Table, summarise
from reproduce.workspace.workspace import Workspace

METRICS = ("AD", "AG", "AI", "seconds")


class RawPixelTable(MeasuredBeside):
    """The main table's figures of the same networks on raw pixels."""

    name = "opticam-raw-pixels"
    title = "Table A.14: without input normalisation"
    table = "opticam_tableA14"
    stands_in = True

    def requests(self, workspace: Workspace) -> list[Request]:
        """The methods of the published table, and the network's accuracy on raw pixels."""
        listed = set(published(self.table)["method"])
        return [
            request
            for network in self.networks(workspace)
            for request in (
                Request(network, "Network", ("accuracy",), normalised=False),
                *(
                    self.request(workspace, network, method, "seconds", "faithfulness", normalised=False)
                    for method in workspace.methods(network)
                    if method in listed
                ),
            )
        ]

    def stored_networks(self, workspace: Workspace) -> Mapping[str, str]:
        """The networks without normalisation."""
        return {labelled(name, RAW_PIXELS): paper for name, paper in self.networks(workspace).items()}

    def tables(self, workspace: Workspace) -> Mapping[str, Table]:
        """Table A.14."""
        words = accuracies(self, workspace, list(self.stored_networks(workspace)))
        caption = f"Opti-CAM Table A.14: without input normalisation; {words}"
        return {self.table: self.table_of(workspace, summarise(self.measured(workspace)), caption)}

    def measured(self, workspace: Workspace) -> pd.DataFrame:
        """Scores, and seconds of a batch."""
        return with_batch_seconds(self.rows(workspace, METRICS))
