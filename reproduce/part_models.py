"""Train DP-Net and its baseline on cached features, once a data set, backbone, constraint set and seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from tqdm.auto import tqdm

from dpnet import (
    ConstraintWeights,
    FeatureCache,
    GlobalClassifier,
    PartClassifier,
    TrainingSettings,
    describe,
    extract_features,
    train,
)
from dpnet.evaluation import accuracy, interpretability
from opticam.data import SampleSet, sample_set
from reproduce.published_numbers import labelled, split_label
from reproduce.store import Row
from reproduce.workspace import Workspace

EXPERIMENT = "parts"
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
    todo = [
        run
        for run in dict.fromkeys(runs)
        if run.image not in workspace.store.done(name, EXPERIMENT, run.backbone, run.method, ["accuracy"])
    ]
    for run in tqdm(todo, desc="part models", unit="model", disable=not workspace.progress or not todo):
        model, figures = _train(workspace, run)
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
    features = cached_features(workspace, run.dataset, run.backbone, "test")
    model = build_model(workspace, run, features)
    model.load_state_dict(safetensors.torch.load_file(run.weights_file(workspace.results)))
    return model.eval()


def build_model(
    workspace: Workspace, run: PartRun, features: FeatureCache
) -> PartClassifier | GlobalClassifier:
    """The untrained model of a run."""
    classes = int(features.labels.max()) + 1
    dimension = features.shape[1]
    if run.is_global:
        return GlobalClassifier(dimension, classes)
    return PartClassifier(dimension, classes, workspace.profile.parts.parts_per_class)


def dataset_split(workspace: Workspace, dataset: str, split: str) -> SampleSet:
    """Images and annotations of a data set of the profile."""
    return sample_set(dataset, split, workspace.cache)


def cached_features(workspace: Workspace, dataset: str, backbone: str, split: str) -> FeatureCache:
    """Feature maps of the frozen backbone on a data set, computed once."""
    data = dataset_split(workspace, dataset, split)
    classifier = workspace.classifier(backbone)
    manifest = describe(
        classifier,
        network=backbone,
        image_size=tuple(data.images.shape[-2:]),
        dataset=f"{dataset}/{split}",
        dataset_hash=data.fingerprint,
        num_images=len(data),
        dtype="float32",
    )
    folder = workspace.cache / "features" / f"{dataset}-{split}-{backbone}-{manifest.weights_hash}"
    return extract_features(classifier, data, folder, manifest, progress=workspace.progress)


def _train(workspace: Workspace, run: PartRun) -> tuple[torch.nn.Module, dict[str, float]]:
    profile = workspace.profile.parts
    features = cached_features(workspace, run.dataset, run.backbone, "train")
    test = cached_features(workspace, run.dataset, run.backbone, "test")
    constraints = () if run.is_global else CONSTRAINTS[split_label(run.method)[1]]
    settings = TrainingSettings(
        epochs=profile.epochs,
        batch_size=profile.batch_size,
        seed=run.seed,
        constraints=ConstraintWeights.named(*constraints),
    )
    with torch.random.fork_rng():
        torch.manual_seed(run.seed)
        model = build_model(workspace, run, features)
        record = train(model, features, features.labels, settings)
    figures = {"accuracy": 100 * accuracy(model, test, test.labels), "seconds": record.seconds}
    if not run.is_global:
        figures |= interpretability(model, test, test.labels)
    return model, figures
