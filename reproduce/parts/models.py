"""Train DP-Net and its baseline on cached features, once a data set, backbone, constraint set and seed."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import pandas as pd
import torch
from tqdm.auto import tqdm

from dpnet import GlobalClassifier, PartClassifier, train
from dpnet.data.blocks import Features
from dpnet.model.recipes import PartRecipe
from dpnet.training.selection import NotOnRecord
from opticam.data.files import load_tensors, save_tensors
from opticam.sample.pictures import SPLITS
from reproduce.parts.choices import (
    CONSTRAINED,
    Choice,
    chosen,
    chosen_weights,
    definition,
    forget_tried,
    method_name,
    try_candidates,
    try_weights,
    with_constraints,
)
from reproduce.parts.data import (
    dataset_split,
    extract,
    grid,
    image_size,
    is_extracted,
    layer_features,
    layers,
    map_size,
    picture_count,
)
from reproduce.parts.measuring import measured
from reproduce.parts.prepared import prepared
from reproduce.published.numbers import labelled, split_label
from reproduce.workspace.processes import gather, is_first, share, share_shown, wait
from reproduce.workspace.store import Row
from reproduce.workspace.workspace import Workspace

EXPERIMENT = "parts"  # and the folder of the trained models; of a first look as `Workspace.of_models` says
DEFINITION = "definition"  # metric under which it is stored what a result was computed from
LAYER = "layer "  # metrics that begin with it name the layer that a model reads
SAME_LAYER = "Global [layer of Parts]"  # the baseline on the layer that the parts have chosen
RANDOM_PARTS = "Random parts"  # the part layer before training: random directions
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
    """One model to train: method is "Global" or "Parts [constraints]" as in the published tables, or `SAME_LAYER`."""

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
        return split_label(self.method)[0] == "Global"

    def weights_file(self, workspace: Workspace) -> Path:
        """Where the trained model lies."""
        name = "-".join((self.dataset, self.backbone, self.method, str(self.seed)))
        name = name.replace(" ", "").replace("[", ".").replace("]", "")
        return workspace.results / workspace.of_models(EXPERIMENT) / f"{name}.safetensors"


def run_key(dataset: str, seed: int) -> str:
    """Key in the store's image column of one seed on one data set."""
    return f"{dataset}/seed {seed}"


def parts_label(constraints: str) -> str:
    """The method label of a set of constraints, "Parts [perp+assign]"."""
    return labelled("Parts", constraints)


def seeds(workspace: Workspace) -> range:
    """Seeds to run: the profile's number, or one for a first look with a limit."""
    return range(1 if workspace.profile.limit else workspace.parts.seeds)


def train_missing(workspace: Workspace, runs: Iterable[PartRun]) -> None:
    """Train and store every run that has no results yet, or those of another recipe, network or layer.

    Under torchrun the processes share the work, and all return when all of it is done and in the store.
    """
    runs = tuple(dict.fromkeys(runs))
    choose_all(workspace, runs)
    missing = [run for run in runs if not _is_trained(workspace, run)]
    wait()  # nobody stores before all have looked
    if is_first():
        forget(workspace, missing)
    missing.sort(key=partial(_work, workspace), reverse=True)  # what takes long comes first
    hidden = not workspace.progress or not missing
    with tqdm(total=len(missing), desc="part models", unit="model", disable=hidden) as bar:
        for run in share_shown(missing, bar):
            _train_and_store(workspace, run)
    gather(workspace)


@lru_cache(maxsize=16)  # several experiments ask for the same models
def choose_all(workspace: Workspace, runs: tuple[PartRun, ...], anew: bool = False) -> None:
    """Bring on record what `planned` reads, the processes sharing the work; anew: whatever is on record already.

    One step waits for the one before: what is drawn, extracted or chosen once is read by all afterwards. Pictures,
    networks and layers that cannot be used are told of before anything is extracted.
    """
    pairs = list(dict.fromkeys((run.dataset, run.backbone) for run in runs))
    datasets = dict.fromkeys(dataset for dataset, _ in pairs)
    for dataset, split in share(itertools.product(datasets, SPLITS)):
        dataset_split(workspace, dataset, split)
    wait()
    units = [(*pair, layer) for pair in pairs for layer in layers(workspace, pair[1])]
    for unit in units:
        map_size(workspace, *unit)
    splits = [(*pair, split) for pair in pairs for split in SPLITS]
    for place in share(splits, lambda place: picture_count(workspace, place[0], place[2])):
        extract(workspace, *place)
    wait()
    methods = dict.fromkeys(run.is_global for run in runs)
    constrained = dict.fromkeys((run.dataset, run.backbone) for run in runs if _constraints(run))
    if is_first():
        for pair in pairs:
            weights = [CONSTRAINED] if pair in constrained else []
            forget_tried(workspace, *pair, [*map(method_name, methods), *weights])
    wait()
    for (dataset, backbone, layer), is_global in share(itertools.product(units, methods)):
        try_candidates(workspace, dataset, backbone, is_global, layer, anew)
    wait()
    for dataset, backbone in share(constrained):
        try_weights(workspace, dataset, backbone, anew)
    wait()


def planned(workspace: Workspace, run: PartRun) -> Choice:
    """Layer, recipe and settings of a run: what cross-validation has chosen, its constraints and its seed."""
    place = workspace, run.dataset, run.backbone
    of_parts = chosen(*place, False).layer if run.method == SAME_LAYER else None
    layer, plan = chosen(*place, run.is_global, of_parts)
    constraints = _constraints(run)
    if constraints:
        weights = chosen_weights(workspace, run.dataset, run.backbone)
        plan = with_constraints(plan, weights, constraints)
    return Choice(layer, replace(plan, settings=plan.settings.with_seed(run.seed)))


def run_features(workspace: Workspace, run: PartRun, split: str) -> tuple[Features, torch.Tensor]:
    """Feature maps [N,d,h,w] of the layer that the run reads, and labels [N]."""
    return layer_features(workspace, run.dataset, run.backbone, planned(workspace, run).layer, split)


def features_and_labels(
    workspace: Workspace, dataset: str, backbone: str, split: str
) -> tuple[Features, torch.Tensor]:
    """`run_features` of the unconstrained part model."""
    return run_features(workspace, PartRun(dataset, backbone, parts_label("none"), 0), split)


def forget(workspace: Workspace, runs: Iterable[PartRun]) -> None:
    """Delete the stored results of these runs."""
    for run in runs:
        keys = {"network": run.backbone, "method": run.method, "image": run.image}
        workspace.store.delete(workspace.profile.name, workspace.of_models(EXPERIMENT), **keys)


def forget_dataset(workspace: Workspace, experiment: str, dataset: str, **network: str) -> None:
    """Delete the rows that an experiment in the store has of a data set, whose name its images begin with."""
    keys = workspace.profile.name, experiment
    images = workspace.store.frame(*keys, **network)["image"].unique().tolist()
    own = [image for image in images if image.startswith(f"{dataset}/")]
    if own:
        workspace.store.delete(*keys, image=own, **network)


def layer_read(workspace: Workspace, run: PartRun) -> str:
    """The layer that a trained model reads, as stored with its results; "" where none is."""
    metrics = _rows(workspace, run)["metric"]
    return next((name.removeprefix(LAYER) for name in metrics if name.startswith(LAYER)), "")


def is_ready(workspace: Workspace, run: PartRun) -> bool:
    """Whether the trained model, the choice that it follows and its features are stored, so that it can be read."""
    if not run.weights_file(workspace).exists():
        return False
    try:
        layer = planned(workspace, run).layer
    except NotOnRecord:
        return False
    return all(is_extracted(workspace, run.dataset, run.backbone, layer, split) for split in SPLITS)


def load_model(workspace: Workspace, run: PartRun) -> PartClassifier | GlobalClassifier:
    """The trained model of a run that `train_missing` has done."""
    features, labels = run_features(workspace, run, "train")
    model = build_model(workspace, run, features, labels)
    weights, _ = load_tensors(run.weights_file(workspace))
    model.load_state_dict(weights)
    return model.eval()


def build_model(
    workspace: Workspace, run: PartRun, features: Features, labels: torch.Tensor
) -> PartClassifier | GlobalClassifier:
    """The model of a run before training."""
    plan = planned(workspace, run)
    model = plan.run.recipe.build(features, labels, int(labels.max()) + 1, run.seed)
    if isinstance(model, PartClassifier):
        size = image_size(workspace, run.dataset)
        model.grid.copy_(grid(workspace, run.backbone, plan.layer, size))
    return model


def part_model(model: PartClassifier | GlobalClassifier) -> PartClassifier:
    """The model itself, known to have parts; TypeError for the baseline."""
    if not isinstance(model, PartClassifier):
        raise TypeError("model: expected a PartClassifier, got the global baseline")
    return model


def _constraints(run: PartRun) -> tuple[str, ...]:
    return () if run.is_global else CONSTRAINTS[split_label(run.method)[1]]


def _work(workspace: Workspace, run: PartRun) -> int:
    """Regions in which parts are sought, of all training pictures: about how long a model takes, beside others."""
    if run.is_global:
        return 0
    layer, plan = planned(workspace, run)
    assert isinstance(plan.recipe, PartRecipe)  # that of the baseline has none
    regions = plan.recipe.scheme.count(*map_size(workspace, run.dataset, run.backbone, layer))
    return regions * picture_count(workspace, run.dataset, "train")


def _is_trained(workspace: Workspace, run: PartRun) -> bool:
    now = definition(workspace, planned(workspace, run), run.backbone, run.dataset)
    stored = _rows(workspace, run, metric=DEFINITION)["value"].tolist()
    return stored == [now] and run.weights_file(workspace).exists()


def _rows(workspace: Workspace, run: PartRun, **metric: str) -> pd.DataFrame:
    keys = {"network": run.backbone, "method": run.method, "image": run.image, **metric}
    return workspace.store.frame(workspace.profile.name, workspace.of_models(EXPERIMENT), **keys)


def _train_and_store(workspace: Workspace, run: PartRun) -> None:
    plan = planned(workspace, run)
    model, figures = _train_and_test(workspace, run, plan)
    save_tensors(run.weights_file(workspace), model.state_dict())
    keys = workspace.profile.name, workspace.of_models(EXPERIMENT), run.backbone, run.method, run.image
    figures |= {
        f"{LAYER}{plan.layer}": 1.0,
        DEFINITION: definition(workspace, plan, run.backbone, run.dataset),
    }
    workspace.sink.write(Row(*keys, *item) for item in figures.items())


def _train_and_test(
    workspace: Workspace, run: PartRun, plan: Choice
) -> tuple[torch.nn.Module, dict[str, float]]:
    features, labels = run_features(workspace, run, "train")
    model = build_model(workspace, run, features, labels)
    untrained = copy.deepcopy(model)
    place = run.dataset, run.backbone, plan.layer
    record = train(model, prepared(workspace, place, "train", model), labels, plan.run.settings)
    figures = measured(workspace, place, model, untrained, run.seed)
    return model, {"seconds": record.seconds, **figures}
