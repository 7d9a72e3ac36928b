"""Where DP-Net's slides print a formula that does not do what it is for, and what they leave open."""

from __future__ import annotations

import math

import pandas as pd
import torch

from dpnet import PartClassifier
from reproduce.experiments.base import Deviation, Effect, Experiment
from reproduce.experiments.dpnet.main import UNCONSTRAINED, MainTable
from reproduce.parts.formula_studies import (
    STEPS,
    alignment_after_descent,
    assignment_at,
    weight_after_descent,
)
from reproduce.parts.models import EXPERIMENT, SELECTION, PartRun, build_model, features_and_labels
from reproduce.workspace.profile import Profile
from reproduce.workspace.store import Row
from reproduce.workspace.workspace import Workspace

IMAGES = 256
PRINTED, USED = "as printed", "as used here"
COSINE, ENTROPY, GRADIENT, WEIGHT = "rms cosine", "entropy of ln P", "gradient norm", "off-class weight"


class DpNetDeviations(Experiment):
    """The three constraints descended alone on the sample features, and the spread over what is not stated."""

    name = "deviations-dpnet"
    paper = "DP-Net"
    title = "Deviations of the slides' formulas, in numbers"

    def applies(self, profile: Profile) -> bool:
        """Wherever the profile has data sets for DP-Net."""
        return profile.parts is not None

    def run(self, workspace: Workspace) -> None:
        """Descend each constraint in both forms from the parts that training starts from."""
        keys = workspace.profile.name, self.name, _start(workspace).backbone
        wanted = {PRINTED, USED} - set(workspace.store.methods(*keys))
        if not wanted:
            return
        run = _start(workspace)
        features, labels = features_and_labels(workspace, run.dataset, run.backbone, "train")
        model = build_model(workspace, run, features, labels)
        values = _measure(model, features[:IMAGES])
        workspace.store.write(
            Row(*keys, method, run.dataset, metric, value) for (method, metric), value in values.items()
        )

    def forget(self, workspace: Workspace) -> None:
        """Delete what `run` has stored."""
        workspace.store.delete(workspace.profile.name, self.name)

    def deviations(self, workspace: Workspace) -> list[Deviation]:
        """One for each constraint, and one for what no source states."""
        run = _start(workspace)
        rows = workspace.store.frame(workspace.profile.name, self.name, network=run.backbone)
        found = rows.set_index(["method", "metric"])["value"].to_dict()
        where = f"{run.dataset} features of {run.backbone}"
        command = f"run --only {self.name}"

        def effects(*metrics: str) -> tuple[Effect, ...]:
            return tuple(
                Effect(f"{WORDS[metric]}, {where}", found[PRINTED, metric], found[USED, metric])
                for metric in metrics
                if (PRINTED, metric) in found
            )

        return [
            Deviation(
                "Sign of the orthogonality C_perp",
                "a minus in front, whose descent puts all parts on one line",
                "no minus: descent makes parts orthogonal",
                effects(COSINE),
                command,
            ),
            Deviation(
                "Assignment C_Assign without a temperature",
                "softmax of plain similarities; with unit regions the entropy stays next to its maximum ln P and "
                "has next to no gradient",
                "similarities divided by a temperature",
                effects(ENTROPY, GRADIENT),
                command,
            ),
            Deviation(
                "Class specificity CS has no lower bound",
                "the mean of the signed off-class weights: descent drives them to minus infinity",
                "the mean of their absolute values, whose minimum is 0",
                effects(WEIGHT),
                command,
            ),
            _unstated(workspace),
        ]


WORDS = {
    COSINE: f"rms cosine of different parts after {STEPS} steps",
    ENTROPY: "entropy of the assignment as a share of ln P",
    GRADIENT: "norm of its gradient in the parts",
    WEIGHT: f"mean off-class weight after {STEPS} steps",
}


def _start(workspace: Workspace) -> PartRun:
    """The first model of the constraint table, whose start the constraints are descended from."""
    profile = workspace.profile.parts
    return PartRun(profile.constraint_datasets[0], profile.constraint_backbone, UNCONSTRAINED, seed=0)


def _measure(model: PartClassifier, features: torch.Tensor) -> dict[tuple[str, str], float]:
    """Both forms of each constraint, by form and metric."""
    values = {}
    weight, per_class = model.classifier.weight, model.parts_per_class
    for form, sign, temperature, mode in (
        (PRINTED, -1.0, 1.0, "signed"),
        (USED, 1.0, model.temperature, "abs"),
    ):
        share, gradient = assignment_at(model, features, temperature)
        values |= {
            (form, COSINE): alignment_after_descent(model.parts, sign),
            (form, ENTROPY): share,
            (form, GRADIENT): gradient,
            (form, WEIGHT): weight_after_descent(weight, per_class, mode),
        }
    return values


def _unstated(workspace: Workspace) -> Deviation:
    """Learning rate and seed, of all that is not stated, are varied in the stored results."""
    profile = workspace.profile.name
    tried = workspace.store.frame(profile, SELECTION)
    tried = tried[tried["metric"].str.startswith("validation accuracy")]
    effects = []
    for (backbone, method, image), own in tried.groupby(["network", "method", "image"]):
        dataset = image.split("/")[0]
        words = f"validation accuracy of {method} on {dataset}, {backbone}, over learning rates"
        effects.append(Effect(words, own["value"].min(), own["value"].max(), "%"))
    accuracy = workspace.store.frame(profile, EXPERIMENT, method=UNCONSTRAINED, metric="accuracy")
    effects += _seed_spreads(accuracy)
    return Deviation(
        "DP-Net's hyper-parameters are not stated",
        "regions, parts a class, initialisation, optimiser, learning rate, epochs, batch and loss weights are in "
        "no source that could be read",
        "choices of this project; learning rates are chosen on a quarter of the training pictures",
        tuple(effects),
        f"run --only {MainTable.name}",
        ways=("lowest", "highest"),
    )


def _seed_spreads(accuracy: pd.DataFrame) -> list[Effect]:
    """The lowest and the highest test accuracy over the seeds of each data set and backbone."""
    groups = accuracy.assign(dataset=accuracy["image"].str.split("/").str[0]).groupby(["dataset", "network"])
    return [
        Effect(
            f"test accuracy of {UNCONSTRAINED} on {dataset}, {backbone}, over {len(own)} seeds",
            own["value"].min(),
            own["value"].max(),
            "%",
        )
        for (dataset, backbone), own in groups
        if len(own) > 1 and not math.isnan(own["value"].min())
    ]
