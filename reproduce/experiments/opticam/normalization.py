"""Opti-CAM Table 6: normalisation of the map x objective."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from reproduce.experiments.opticam.saliency_experiment import MeasuredBeside
from reproduce.experiments.opticam.variants import objective_label, variant_request
from reproduce.published.numbers import published
from reproduce.saliency.explained_batch import SCORES
from reproduce.saliency.requests import Request
from reproduce.tables.layout import Table, summarise
from reproduce.workspace.workspace import Workspace


class ObjectiveStudy(MeasuredBeside):
    """Variants of Opti-CAM beside the plain methods that the published table lists."""

    stands_in = True
    variants: tuple[str, ...]

    def requests(self, workspace: Workspace) -> list[Request]:
        """The variants, and the plain methods of the published table."""
        listed = set(published(self.table)["method"])
        return [
            request
            for network in self.networks(workspace)
            for request in (
                *(
                    self.request(workspace, network, method, "faithfulness")
                    for method in workspace.methods(network)
                    if method in listed
                ),
                *(variant_request(self, workspace, network, label) for label in self.variants),
            )
        ]

    def tables(self, workspace: Workspace) -> Mapping[str, Table]:
        """The published table."""
        iterations = workspace.saliency.ablation_iterations
        caption = f"Opti-CAM {self.title}; {iterations} iterations"
        return {self.table: self.table_of(workspace, summarise(self.measured(workspace)), caption)}

    def measured(self, workspace: Workspace) -> pd.DataFrame:
        """Scores of the variants and of the plain methods."""
        return self.rows(workspace, SCORES, self.is_shown)

    def is_shown(self, label: str) -> bool:
        """The variants, and the plain methods of the published table."""
        return label in self.variants or label in set(published(self.table)["method"])


class NormalizationTable(ObjectiveStudy):
    """Mask and Diff under the normalisations range, max and sigmoid."""

    name = "opticam-normalization"
    title = "Table 6: normalisation x objective"
    table = "opticam_table6"
    variants = tuple(
        objective_label(objective, normalization)
        for objective in ("Mask", "Diff")
        for normalization in ("range", "max", "sigmoid")
    )
