"""DP-Net's constraint table: eight combinations of the three constraints, over seeds."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from reproduce.experiments.base import Claim, Experiment
from reproduce.experiments.dpnet_main import UNCONSTRAINED, accuracies, stand_ins
from reproduce.layout import Table, cells
from reproduce.part_models import CONSTRAINTS, PartRun, forget, parts_label, seeds, train_missing
from reproduce.profile import Profile
from reproduce.published_numbers import published
from reproduce.workspace import Workspace


class ConstraintTable(Experiment):
    """Accuracy under each combination of orthogonality, assignment and class specificity."""

    name = "dpnet-constraints"
    paper = "DP-Net"
    title = "Constraints: eight combinations on two data sets"

    def applies(self, profile: Profile) -> bool:
        """Wherever the profile has data sets for DP-Net."""
        return profile.parts is not None

    def runs(self, workspace: Workspace) -> list[PartRun]:
        """Every combination on the two data sets of the published table, with every seed."""
        profile = workspace.profile.parts
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
        """Accuracy, mean and standard deviation over seeds."""
        measured = accuracies(workspace, self.runs(workspace))
        comparable = workspace.profile.parts.comparable
        found = cells(published("dpnet_constraints"), measured, comparable=comparable)
        caption = f"DP-Net constraints, accuracy in %; measured: {stand_ins(workspace)}"
        return {
            "dpnet_constraints": Table(
                found, caption, rows="variant", groups=("dataset", "network"), show="sd", aside=()
            )
        }

    def claims(self, workspace: Workspace) -> list[Claim]:
        """Constraints cost little: the worst combination stays within the published spread of the best."""
        measured = accuracies(workspace, self.runs(workspace))
        paper = published("dpnet_constraints")
        return [
            _cost_claim(
                name,
                measured[measured["dataset"] == published_name].set_index("method")["measured"],
                paper[paper["dataset"] == published_name].set_index("method")["value"],
            )
            for name, published_name in workspace.profile.parts.datasets.items()
            if name in workspace.profile.parts.constraint_datasets
        ]


def _cost_claim(dataset: str, measured: pd.Series, paper: pd.Series) -> Claim:
    allowed = paper[UNCONSTRAINED] - paper.min()
    text = f"No combination of constraints costs more than the published {allowed:.1f} points on {dataset}"
    if UNCONSTRAINED not in measured or len(measured) < len(CONSTRAINTS):
        return Claim(text, None, "not run")
    cost = measured[UNCONSTRAINED] - measured.min()
    return Claim(text, bool(cost <= allowed), f"at most {cost:.1f} points, for {measured.idxmin()}")
