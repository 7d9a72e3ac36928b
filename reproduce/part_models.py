"""Train DP-Net and its baseline on cached features, once a data set, backbone, constraint set and seed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import safetensors.torch
import torch
from torch.utils.data import Subset
from tqdm.auto import tqdm

from dpnet import (
    ConstraintWeights,
    GlobalClassifier,
    PartClassifier,
    TrainingSettings,
    describe,
    extract_features,
    train,
)
from dpnet.evaluation import accuracy, interpretability
from dpnet.initialisation import fit_centre, initialise_parts
from opticam.data import SampleSet, sample_set
from reproduce.published_numbers import labelled, split_label
from reproduce.store import Row
from reproduce.workspace import Workspace

EXPERIMENT = "parts"
SELECTION = "parts-selection"  # where the choice of learning rates is stored
CONSTRAINTS = {
    "none": (),
    "perp": ("orthogonality",),
    "assign": ("assignment",),
    "cs": ("class_specificity",),
    "perp+assign": ("orthogonality", "assignment"),
    "cs+perp": ("class_specificity", "orthogonality"),
    "cs+assign": ("class_specificity", "assignment"),
    "all": ("orthogonality", "assignment", "class_specificity"),
}


@dataclass(frozen=True)
class PartRun:
    """One model to train: method is "Global" or "Parts [constraints]" as in the published tables."""

    dataset: str
    backbone: str
    method: str
    seed: int

    @property
    def image(self) -> str:
        """The run's key in the store's image column."""
        return run_key(self.dataset, self.seed)

    @property
    def is_global(self) -> bool:
        """Whether this is the baseline without parts."""
        return self.method == "Global"

    def weights_file(self, folder: Path) -> Path:
        """Where the trained model lies."""
        name = "-".join((self.dataset, self.backbone, self.method, str(self.seed)))
        return folder / "parts" / (name.replace(" ", "").replace("[", ".").replace("]", "") + ".safetensors")


def run_key(dataset: str, seed: int) -> str:
    """Key in the store's image column of one seed on one data set."""
    return f"{dataset}/seed {seed}"


def parts_label(constraints: str) -> str:
    """The method label of a set of constraints, "Parts [perp+assign]"."""
    return labelled("Parts", constraints)


def seeds(workspace: Workspace) -> range:
    """Seeds to run: the profile's number, or one for a first look with a limit."""
    return range(1 if workspace.profile.limit else workspace.profile.parts.seeds)


def train_missing(workspace: Workspace, runs: Iterable[PartRun]) -> None:
    """Train and store every run that has no accuracy yet."""
    name = workspace.profile.name
    runs = list(dict.fromkeys(runs))
    todo = [
        run
        for run in runs
        if run.image not in workspace.store.done(name, EXPERIMENT, run.backbone, run.method, ["accuracy"])
    ]
    for run in tqdm(todo, desc="part models", unit="model", disable=not workspace.progress or not todo):
        model, figures = _train_and_test(workspace, run)
        path = run.weights_file(workspace.results)
        path.parent.mkdir(parents=True, exist_ok=True)
        safetensors.torch.save_file(model.state_dict(), path)
        workspace.store.write(
            Row(name, EXPERIMENT, run.backbone, run.method, run.image, metric, value)
            for metric, value in figures.items()
        )


def forget(workspace: Workspace, runs: Iterable[PartRun]) -> None:
    """Delete the stored results of these runs."""
    for run in runs:
        keys = {"network": run.backbone, "method": run.method, "image": run.image}
        workspace.store.delete(workspace.profile.name, EXPERIMENT, **keys)


def load_model(workspace: Workspace, run: PartRun) -> PartClassifier | GlobalClassifier:
    """The trained model of a run that `train_missing` has done."""
    features, labels = features_and_labels(workspace, run.dataset, run.backbone, "test")
    model = build_model(workspace, run, features, labels)
    model.load_state_dict(safetensors.torch.load_file(run.weights_file(workspace.results)))
    return model.eval()


def build_model(
    workspace: Workspace, run: PartRun, features: torch.Tensor, labels: torch.Tensor
) -> PartClassifier | GlobalClassifier:
    """The model of a run before training: centred features, parts from random regions of their class."""
    classes, dimension = int(labels.max()) + 1, features.shape[1]
    with torch.random.fork_rng():
        torch.manual_seed(run.seed)
        if run.is_global:
            model = GlobalClassifier(dimension, classes)
        else:
            model = PartClassifier(dimension, classes, workspace.profile.parts.parts_per_class)
    fit_centre(model, features)
    if not run.is_global:
        initialise_parts(model, "class_regions", features, labels, seed=run.seed)
    return model


@lru_cache(maxsize=2)
def features_and_labels(
    workspace: Workspace, dataset: str, backbone: str, split: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Feature maps float32 [N,d,h,w] of the frozen backbone and labels [N]; computed once and kept on disk.

    Of the training pictures the profile's number is used, the first ones; they are ordered class by class in
    turn, so every class keeps the same share.
    """
    data = dataset_split(workspace, dataset, split)
    count = len(data) if split == "test" else min(len(data), workspace.profile.parts.train_images)
    classifier = workspace.classifier(backbone)
    manifest = describe(
        classifier,
        network=backbone,
        image_size=tuple(data.images.shape[-2:]),
        dataset=f"{dataset}/{split}",
        dataset_hash=hashlib.sha256(data.images[:count].numpy().tobytes()).hexdigest()[:16],
        num_images=count,
        dtype="float32",
    )
    folder = workspace.cache / "features" / f"{dataset}-{split}-{backbone}-{manifest.weights_hash}"
    images = Subset(data, range(count))
    cache = extract_features(classifier, images, folder, manifest, progress=workspace.progress)
    return cache[torch.arange(count)], cache.labels


def dataset_split(workspace: Workspace, dataset: str, split: str) -> SampleSet:
    """Images and annotations of a data set of the profile."""
    return sample_set(dataset, split, workspace.cache)


def settings_of(workspace: Workspace, run: PartRun, learning_rate: float) -> TrainingSettings:
    """Training settings of a run; `learning_rate` is that of V for Global and that of U for Parts."""
    profile = workspace.profile.parts
    constraints = () if run.is_global else CONSTRAINTS[split_label(run.method)[1]]
    return TrainingSettings(
        epochs=profile.epochs,
        batch_size=profile.batch_size,
        seed=run.seed,
        learning_rate_parts=learning_rate,
        learning_rate_classifier=learning_rate if run.is_global else profile.learning_rate_classifier,
        constraints=ConstraintWeights.named(*constraints),
    )


def chosen_learning_rate(workspace: Workspace, run: PartRun) -> float:
    """The learning rate of this data set, backbone and model: best on a quarter of the training pictures.

    Chosen without constraints and with seed 0, stored, and used for every seed and every constraint set.
    """
    profile = workspace.profile.parts
    rates = profile.learning_rates_global if run.is_global else profile.learning_rates_parts
    plain = replace(run, method="Global" if run.is_global else parts_label("none"), seed=0)
    keys = (workspace.profile.name, SELECTION)
    metrics = {f"validation accuracy at {rate:g}": rate for rate in rates}
    if plain.image not in workspace.store.done(*keys, plain.backbone, plain.method, metrics):
        found = [_validation_accuracy(workspace, plain, rate) for rate in rates]
        rows = zip(metrics, found)
        workspace.store.write(Row(*keys, plain.backbone, plain.method, plain.image, *row) for row in rows)
    stored = workspace.store.frame(*keys, network=plain.backbone, method=plain.method, image=plain.image)
    return metrics[stored.set_index("metric")["value"].idxmax()]


def _validation_accuracy(workspace: Workspace, run: PartRun, learning_rate: float) -> float:
    features, labels = features_and_labels(workspace, run.dataset, run.backbone, "train")
    # Every fourth picture of each class, as classes follow each other in turn.
    held_out = torch.arange(len(labels)) // (int(labels.max()) + 1) % 4 == 3
    model = build_model(workspace, run, features[~held_out], labels[~held_out])
    train(model, features[~held_out], labels[~held_out], settings_of(workspace, run, learning_rate))
    return 100 * accuracy(model, features[held_out], labels[held_out])


def _train_and_test(workspace: Workspace, run: PartRun) -> tuple[torch.nn.Module, dict[str, float]]:
    settings = settings_of(workspace, run, chosen_learning_rate(workspace, run))
    features, labels = features_and_labels(workspace, run.dataset, run.backbone, "train")
    test_features, test_labels = features_and_labels(workspace, run.dataset, run.backbone, "test")
    model = build_model(workspace, run, features, labels)
    record = train(model, features, labels, settings)
    figures = {"accuracy": 100 * accuracy(model, test_features, test_labels), "seconds": record.seconds}
    if not run.is_global:
        figures |= interpretability(model, test_features, test_labels)
    return model, figures
