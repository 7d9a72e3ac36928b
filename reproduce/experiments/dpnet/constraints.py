"""DP-Net's constraint table: eight combinations of the three constraints, over seeds."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from reproduce.experiments.base import Claim, Experiment
from reproduce.experiments.dpnet.main import UNCONSTRAINED, accuracies, figures, stand_ins
from reproduce.parts.models import CONSTRAINTS, PartRun, forget, parts_label, seeds, train_missing
from reproduce.published.numbers import published
from reproduce.tables.layout import Table, cells, summarise
from reproduce.workspace.profile import Profile
from reproduce.workspace.workspace import Workspace

# What each constraint alone must change, and in which direction.
DIRECTIONS = {"perp": ("rms_cosine", -1), "assign": ("entropy", -1), "cs": ("own_class_mass", 1)}
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
        """Accuracy, and the figures that tell the settings apart; mean and standard deviation over seeds."""
        measured = summarise(accuracies(workspace, self.runs(workspace)), seeds=True)
        comparable, paper = workspace.profile.parts.comparable, published("dpnet_constraints")
        found = cells(paper, measured, comparable=comparable)
        layout = {"rows": "variant", "groups": ("dataset", "network"), "show": "sd", "aside": ()}
        caption = f"DP-Net constraints, accuracy in %; measured: {stand_ins(workspace)}"
        numbers = self._figures(workspace)
        order = [parts_label(name) for name in CONSTRAINTS if parts_label(name) in set(numbers["method"])]
        numbers = cells(paper[:0], summarise(numbers, seeds=True), rows=order)
        about = f"What the constraints change, beside the accuracy; measured: {stand_ins(workspace)}"
        return {
            "dpnet_constraints": Table(found, caption, **layout),
            "dpnet_interpretability": Table(numbers, about, **layout),
        }

    def claims(self, workspace: Workspace) -> list[Claim]:
        """Constraints cost little, and each alone does what its name says."""
        measured = summarise(accuracies(workspace, self.runs(workspace)), seeds=True)
        numbers = self._figures(workspace)
        paper = published("dpnet_constraints")
        claims = []
        for name in workspace.profile.parts.constraint_datasets:
            published_name = workspace.profile.parts.datasets[name]
            ours = measured[measured["dataset"] == published_name].set_index("method")["measured"]
            theirs = paper[paper["dataset"] == published_name].set_index("method")["value"]
            own = numbers[numbers["dataset"] == published_name]
            claims.append(_cost_claim(name, ours, theirs))
            claims += [_direction_claim(name, own, *item) for item in DIRECTIONS.items()]
        return claims

    def _figures(self, workspace: Workspace) -> pd.DataFrame:
        numbers = figures(workspace, self.runs(workspace), INTERPRETABILITY)
        scale = numbers["metric"].isin(SHARES).map({True: 100.0, False: 1.0})
        order = pd.CategoricalDtype(INTERPRETABILITY, ordered=True)
        return numbers.assign(value=numbers["value"] * scale, metric=numbers["metric"].astype(order))


def _cost_claim(dataset: str, measured: pd.Series, paper: pd.Series) -> Claim:
    allowed = paper[UNCONSTRAINED] - paper.min()
    text = f"No combination of constraints costs more than the published {allowed:.1f} points on {dataset}"
    if UNCONSTRAINED not in measured or len(measured) < len(CONSTRAINTS):
        return Claim(text, None, "not run")
    cost = measured[UNCONSTRAINED] - measured.min()
    return Claim(text, bool(cost <= allowed), f"at most {cost:.1f} points, for {measured.idxmin()}")


def _direction_claim(
    dataset: str, numbers: pd.DataFrame, constraint: str, direction: tuple[str, int]
) -> Claim:
    metric, sign = direction
    verb = "raises" if sign > 0 else "lowers"
    text = f"{parts_label(constraint)} {verb} {metric.replace('_', ' ')} on {dataset}, for every seed"
    wide = numbers[numbers["metric"] == metric].pivot(index="image", columns="method", values="value")
    pair = wide.reindex(columns=[parts_label(constraint), UNCONSTRAINED]).dropna()
    if not len(pair):
        return Claim(text, None, "not run")
    with_it, without = pair.mean()
    holds = bool((sign * (pair.iloc[:, 0] - pair.iloc[:, 1]) > 0).all())
    return Claim(text, holds, f"{with_it:.3g} against {without:.3g} without it, {len(pair)} seeds")
