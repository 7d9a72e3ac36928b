"""Choose each model's recipe and each constraint's weight on the training pictures, by cross-validation."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from dpnet import ConstraintWeights, TrainingSettings
from dpnet.runs import Run
from dpnet.selection import choose, choose_weights, global_candidates, part_candidates
from opticam.sample.pictures import SPLITS, sample_fingerprint
from reproduce.parts.committed_selection import bring_selection
from reproduce.parts.data import layer_features, layers
from reproduce.workspace.store import Row
from reproduce.workspace.workspace import Workspace

SELECTION = "parts-selection"  # where the accuracies of the candidates are stored
METRIC = "validation accuracy"
FOLDER = "selection"  # of the records, in the results


def base_settings(workspace: Workspace) -> TrainingSettings:
    """What the profile fixes for every model; a first look trains for a third of the epochs."""
    epochs = workspace.profile.parts.epochs
    return _settings(workspace, max(1, epochs // 3) if workspace.profile.limit else epochs)


def selection_settings(workspace: Workspace) -> TrainingSettings:
    """What candidates are trained with in cross-validation; the same in a first look."""
    profile = workspace.profile.parts
    return _settings(workspace, profile.selection_epochs or profile.epochs)


def _settings(workspace: Workspace, epochs: int) -> TrainingSettings:
    profile = workspace.profile.parts
    return TrainingSettings(epochs=epochs, batch_size=profile.batch_size, precision=profile.precision)


class Choice(NamedTuple):
    """What cross-validation prefers: the layer whose maps are read, and recipe and rates on them."""

    layer: str
    run: Run


@lru_cache(maxsize=32)
def chosen(
    workspace: Workspace, dataset: str, backbone: str, is_global: bool, only_layer: str | None = None
) -> Choice:
    """Layer, recipe and rates of Global or of Parts on one data set and backbone, without constraints.

    Both methods have the same layers to choose from, or `only_layer`, and as many candidates on each
    (`dpnet.selection`). The best in cross-validation on the training pictures is used for every seed and every
    set of constraints.
    """
    tables, runs = {}, {}
    for layer in [only_layer] if only_layer else layers(workspace, backbone):
        best, tables[layer] = tried(workspace, dataset, backbone, is_global, layer)
        settings = replace(best.settings, epochs=base_settings(workspace).epochs)
        runs[layer] = Choice(layer, replace(best, settings=settings))
    table = pd.concat(tables)
    _store(workspace, dataset, backbone, _method(is_global), table)
    order = table.sort_values(["accuracy", "cross_entropy"], ascending=[False, True], kind="stable")
    return runs[order.index[0][0]]


def tried(
    workspace: Workspace, dataset: str, backbone: str, is_global: bool, layer: str
) -> tuple[Run, pd.DataFrame]:
    """The best candidate on one layer, and the table of all; what is on record is not trained again."""
    features, labels = layer_features(workspace, dataset, backbone, layer, "train")
    candidates = _candidates(workspace, is_global, min(features.shape[-2:]))
    record = _record(workspace, dataset, backbone, f"{layer}-{_method(is_global)}")
    options = {"folds": workspace.profile.parts.folds, "record": record}
    return choose(candidates, features, labels, int(labels.max()) + 1, **options)


@lru_cache(maxsize=16)
def chosen_weights(workspace: Workspace, dataset: str, backbone: str) -> ConstraintWeights:
    """For each constraint the largest weight that costs no more accuracy than the profile tolerates."""
    profile, choice = workspace.profile.parts, chosen(workspace, dataset, backbone, False)
    features, labels = layer_features(workspace, dataset, backbone, choice.layer, "train")
    record = _record(workspace, dataset, backbone, f"{choice.layer}-weights")
    options = {"tolerance": profile.constraint_tolerance, "folds": profile.folds, "record": record}
    short = replace(choice.run.settings, epochs=selection_settings(workspace).epochs)
    run = replace(choice.run, settings=short)
    weights = choose_weights(run, features, labels, int(labels.max()) + 1, **options)
    table = pd.read_csv(record, index_col="candidate")
    _store(workspace, dataset, backbone, "Constraints", pd.concat({choice.layer: table}))
    return weights


def definition(workspace: Workspace, choice: Choice, backbone: str) -> float:
    """A number that changes with anything a model depends on: layer, recipe, settings, network, pictures."""
    facts = choice.layer, choice.run.recipe, choice.run.settings
    return float(int(_digest(workspace, backbone, *facts)[:12], 16))


def with_constraints(run: Run, weights: ConstraintWeights, names: tuple[str, ...]) -> Run:
    """The run under some of the constraints, at the weights given."""
    kept = ConstraintWeights(**{name: getattr(weights, name) for name in names})
    return replace(run, settings=run.settings.with_constraints(kept))


def _method(is_global: bool) -> str:
    return "Global" if is_global else "Parts"


def _candidates(workspace: Workspace, is_global: bool, map_side: int) -> list[Run]:
    settings = selection_settings(workspace)
    if is_global:
        return global_candidates(settings)
    return part_candidates(settings, map_side, workspace.profile.parts.parts_per_class)


def _record(workspace: Workspace, dataset: str, backbone: str, kind: str) -> Path:
    """File of a selection; its name changes with what the candidates are trained on."""
    profile = workspace.profile.parts
    options = selection_settings(workspace), profile.parts_per_class, profile.folds
    digest = _digest(workspace, backbone, *options)[:8]
    record = workspace.results / FOLDER / f"{dataset}-{backbone}-{kind}-{digest}.csv"
    if not record.exists():
        bring_selection(workspace.profile.name, record)
    return record


def _digest(workspace: Workspace, backbone: str, *options: object) -> str:
    profile = workspace.profile.parts
    facts = options, workspace.digest(backbone), profile.train_images, _pictures(tuple(profile.datasets))
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _pictures(datasets: tuple[str, ...]) -> list[str]:
    """What changes with the pictures of these data sets."""
    return [sample_fingerprint(name, split) for name in datasets for split in SPLITS]


def _store(workspace: Workspace, dataset: str, backbone: str, method: str, table: pd.DataFrame) -> None:
    """Keep the accuracies of a table indexed by layer and candidate."""
    keys = workspace.profile.name, SELECTION, backbone, method, dataset
    found = table["accuracy"].items()
    workspace.store.write(Row(*keys, f"{METRIC}: {layer}, {name}", value) for (layer, name), value in found)
