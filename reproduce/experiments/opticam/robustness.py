"""Opti-CAM Table 4: AOPC, max sensitivity and ADCC."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from reproduce.experiments.opticam.saliency_experiment import MeasuredBeside
from reproduce.published.numbers import published
from reproduce.saliency.requests import Request
from reproduce.tables.layout import Table, summarise
from reproduce.workspace.workspace import Workspace

METRICS = ("AOPC", "MS", "ADCC")


class RobustnessTable(MeasuredBeside):
    """How maps stand up to changes of the image; every map is made a dozen times."""

    name = "opticam-robustness"
    title = "Table 4: AOPC, max sensitivity, ADCC"
    table = "opticam_table4"
    stands_in = True

    def requests(self, workspace: Workspace) -> list[Request]:
        """The methods of the published table."""
        listed = set(published(self.table)["method"])
        return [
            self.request(workspace, network, method, "robustness")
            for network in self.networks(workspace)
            for method in workspace.methods(network)
            if method in listed
        ]

    def tables(self, workspace: Workspace) -> Mapping[str, Table]:
        """Table 4."""
        rows = summarise(self.measured(workspace))
        caption = "Opti-CAM Table 4: AOPC, max sensitivity and ADCC; of ADCC, higher is better"
        return {self.table: self.table_of(workspace, rows, caption)}

    def measured(self, workspace: Workspace) -> pd.DataFrame:
        """The three metrics."""
        return self.rows(workspace, METRICS)
