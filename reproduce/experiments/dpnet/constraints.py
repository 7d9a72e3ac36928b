"""DP-Net's constraint table: eight combinations of the three constraints, over seeds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from reproduce.experiments.dpnet.constraint_figures import constraint_figures
from reproduce.experiments.dpnet.main import accuracies, beside_published, figures, stand_ins, who_trained
from reproduce.experiments.dpnet.parts_experiment import PartsExperiment
from reproduce.parts.models import CONSTRAINTS, PartRun, forget, parts_label, seeds, train_missing
from reproduce.published.numbers import published
from reproduce.tables.layout import Table, cells, summarise
from reproduce.workspace.workspace import Workspace

INTERPRETABILITY = (
    "accuracy",
    "rms_cosine",
    "entropy",
    "own_class_mass",
    "effective_parts",
    "parts_90",
    "distinct_regions",
)
SHARES = ("own_class_mass",)  # stored in [0,1], printed in %


class ConstraintTable(PartsExperiment):
    """Accuracy under each combination of orthogonality, assignment and class specificity."""

    name = "dpnet-constraints"
    drawing = 8.0
    title = "Constraints: eight combinations on two data sets"

    def runs(self, workspace: Workspace) -> list[PartRun]:
        """Every combination on the two data sets of the published table, with every seed."""
        profile = workspace.parts
        return [
            PartRun(dataset, profile.constraint_backbone, parts_label(name), seed)
            for dataset in profile.constraint_datasets
            for name in CONSTRAINTS
            for seed in seeds(workspace)
        ]

    def run(self, workspace: Workspace) -> None:
        """Train what is missing; the unconstrained models are those of the main table."""
        train_missing(workspace, self.runs(workspace))

    def forget(self, workspace: Workspace) -> None:
        """Delete the results of these models."""
        forget(workspace, self.runs(workspace))

    def tables(self, workspace: Workspace) -> Mapping[str, Table]:
        """Accuracy, and the figures that tell the settings apart; mean and standard deviation over seeds."""
        measured = summarise(accuracies(workspace, self.runs(workspace)), seeds=True)
        comparable, paper = workspace.parts.comparable, published("dpnet_constraints")
        beside, suffix = stand_ins(workspace), who_trained(workspace)
        found = cells(paper, measured, beside=beside, comparable=comparable)
        layout: dict[str, Any] = {
            "rows": "variant",
            "groups": ("dataset", "network"),
            "show": "sd",
            "aside": (),
        }
        caption = f"DP-Net constraints, accuracy in %{suffix}"
        numbers = self._figures(workspace)
        order = [parts_label(name) for name in CONSTRAINTS if parts_label(name) in set(numbers["method"])]
        numbers = cells(paper[:0], summarise(numbers, seeds=True), rows=order, beside=beside)
        about = f"What the constraints change, beside the accuracy{suffix}"
        return {
            "dpnet_constraints": Table(found, caption, **layout),
            "dpnet_interpretability": Table(numbers, about, **layout),
        }

    def figures(self, workspace: Workspace) -> Mapping[str, Figure]:
        """Parts of one class, and what all parts add, under no constraint and under each."""
        return constraint_figures(workspace)

    def results(self, workspace: Workspace) -> Mapping[str, pd.DataFrame]:
        """Accuracy of every seed, and what each constraint is to change."""
        return {
            "dpnet_constraints": beside_published(workspace, accuracies(workspace, self.runs(workspace))),
            "dpnet_interpretability": beside_published(workspace, self._figures(workspace)),
        }

    def _figures(self, workspace: Workspace) -> pd.DataFrame:
        numbers = figures(workspace, self.runs(workspace), INTERPRETABILITY)
        scale = numbers["metric"].isin(SHARES).map({True: 100.0, False: 1.0})
        order = pd.CategoricalDtype(INTERPRETABILITY, ordered=True)
        return numbers.assign(value=numbers["value"] * scale, metric=numbers["metric"].astype(order))
