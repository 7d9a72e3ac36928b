"""Where DP-Net's slides print a formula that does not do what it is for, and what they leave open."""

from __future__ import annotations

import math

import pandas as pd
import torch

from dpnet import PartClassifier
from reproduce.experiments.base import Deviation, Effect
from reproduce.experiments.dpnet.main import UNCONSTRAINED, MainTable
from reproduce.experiments.dpnet.parts_experiment import PartsExperiment
from reproduce.parts.choices import SELECTION, definition
from reproduce.parts.formula_studies import (
    STEPS,
    alignment_after_descent,
    assignment_at,
    mean_cosine,
    weight_after_descent,
)
from reproduce.parts.models import (
    DEFINITION,
    EXPERIMENT,
    PartRun,
    build_model,
    choose_all,
    features_and_labels,
    part_model,
    planned,
)
from reproduce.workspace.processes import is_first
from reproduce.workspace.store import Row
from reproduce.workspace.workspace import Workspace

IMAGES = 256
PRINTED, USED = "as printed", "as used here"
COSINE, ENTROPY, GRADIENT, WEIGHT = "rms cosine", "entropy of ln P", "gradient norm", "off-class weight"
REDUCED, CELLS = "C_Assign of ln P", "cosine of cells"


class DpNetDeviations(PartsExperiment):
    """The three constraints descended alone on the sample features, and the spread over what is not stated."""

    name = "deviations-dpnet"
    title = "Deviations of the slides' formulas, in numbers"

    def run(self, workspace: Workspace) -> None:
        """Descend each constraint in both forms from the parts that training starts from."""
        run = _start(workspace)
        choose_all(workspace, (run,))  # all processes come here, whatever is stored
        keys = workspace.profile.name, self.name, run.backbone
        now = definition(workspace, planned(workspace, run), run.backbone, run.dataset)
        stored = workspace.store.frame(*keys[:2], network=run.backbone, image=run.dataset, metric=DEFINITION)
        if not is_first() or stored["value"].tolist() == [now]:
            return
        features, labels = features_and_labels(workspace, run.dataset, run.backbone, "train")
        model = part_model(build_model(workspace, run, features, labels))
        values = _measure(model, features[torch.arange(min(IMAGES, len(features)))])
        values[USED, DEFINITION] = now
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
            Deviation(
                "Sum or mean in C_Assign",
                "the sum over the regions of an image, which grows with their number",
                "the mean over regions, so that one weight serves maps of every size",
                effects(REDUCED),
                command,
            ),
            Deviation(
                "Features are centred",
                "in no source that could be read",
                "the mean of the training cells is taken off before regions are formed, for Parts always, for Global "
                "where cross-validation prefers it (a wide search asks for both): behind a ReLU all cosines are near 1",
                (*effects(CELLS), *_centring(workspace)),
                command,
            ),
            _unstated(workspace),
        ]


WORDS = {
    COSINE: f"rms cosine of different parts after {STEPS} steps",
    ENTROPY: "entropy of the assignment as a share of ln P",
    GRADIENT: "norm of its gradient in the parts",
    WEIGHT: f"mean off-class weight after {STEPS} steps",
    REDUCED: "C_Assign as a share of ln P",
    CELLS: "mean cosine of two cells of the feature maps",
}


def _start(workspace: Workspace) -> PartRun:
    """The first model of the constraint table, whose start the constraints are descended from."""
    profile = workspace.parts
    return PartRun(profile.constraint_datasets[0], profile.constraint_backbone, UNCONSTRAINED, seed=0)


def _measure(model: PartClassifier, features: torch.Tensor) -> dict[tuple[str, str], float]:
    """Both forms of each constraint, by form and metric."""
    values: dict[tuple[str, str], float] = {}
    weight, per_class = model.classifier.weight, model.parts_per_class
    for form, sign, temperature, mode, reduction, centre in (
        (PRINTED, -1.0, 1.0, "signed", "sum", None),
        (USED, 1.0, model.temperature, "abs", "mean", model.centre),
    ):
        share, gradient = assignment_at(model, features, temperature)
        values |= {
            (form, COSINE): alignment_after_descent(model.parts, sign),
            (form, ENTROPY): share,
            (form, GRADIENT): gradient,
            (form, WEIGHT): weight_after_descent(weight, per_class, mode),
            (form, REDUCED): assignment_at(model, features, model.temperature, reduction)[0],
            (form, CELLS): mean_cosine(features, centre),
        }
    return values


def _unstated(workspace: Workspace) -> Deviation:
    """What cross-validation tried, and the seed, of all that is not stated, are varied in the stored results."""
    profile, tolerance = workspace.profile.name, workspace.parts.constraint_tolerance
    tried = workspace.store.frame(profile, SELECTION)
    tried = tried[tried["metric"].str.startswith("validation accuracy")]
    effects = []
    for (backbone, method, image), own in tried.groupby(["network", "method", "image"]):
        dataset = image.split("/")[0]
        words = f"validation accuracy of {method} on {dataset}, {backbone}, over {len(own)} candidates"
        effects.append(Effect(words, own["value"].min(), own["value"].max(), "%"))
    models = workspace.of_models(EXPERIMENT)
    accuracy = workspace.store.frame(profile, models, method=UNCONSTRAINED, metric="accuracy")
    effects += _seed_spreads(accuracy)
    return Deviation(
        "DP-Net's hyper-parameters are not stated",
        "regions, parts per class, initialisation, optimiser, learning rate, epochs, batch and loss weights are in "
        "no source that could be read",
        "choices of this project: layer, regions, centring and learning rates by cross-validation on the training "
        "pictures (`profiles/selection/`), then the largest weight of each constraint that costs at most "
        f"{tolerance:g} {'point' if tolerance == 1 else 'points'} of accuracy there",
        tuple(effects),
        f"run --only {MainTable.name}",
        ways=("lowest", "highest"),
    )


def _centring(workspace: Workspace) -> list[Effect]:
    """The best validation accuracy of Global without and with centring, of all layers and rates tried."""
    tried = workspace.store.frame(workspace.profile.name, SELECTION, method="Global")
    effects = []
    for (backbone, dataset), own in tried.groupby(["network", "image"]):
        plain, centred = (
            own[own["metric"].str.contains(f" {kind} ")]["value"].max() for kind in ("plain", "centred")
        )
        if not (math.isnan(plain) or math.isnan(centred)):
            words = f"best validation accuracy of Global on {dataset}, {backbone}"
            effects.append(Effect(words, plain, centred, "%"))
    return effects


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
