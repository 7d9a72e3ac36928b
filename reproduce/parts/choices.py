"""Each model's recipe and each constraint's weight, chosen on the training pictures by cross-validation.

`try_candidates` and `try_weights` train what no record holds; `chosen` and `chosen_weights` read what they found, and
raise `NotOnRecord` where they have not run.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from dpnet import ConstraintWeights, PartRecipe, TrainingSettings
from dpnet.training.candidates import global_candidates, part_candidates
from dpnet.training.runs import Run
from dpnet.training.selection import (
    NotOnRecord,
    choose,
    choose_weights,
    recorded_choice,
    recorded_weights,
)
from reproduce.parts.committed_selection import bring_selection
from reproduce.parts.data import layer_features, layers, map_size, pictures_digest
from reproduce.workspace.store import Row
from reproduce.workspace.workspace import Workspace

SELECTION = "parts-selection"  # where the accuracies of the candidates are stored
METRIC = "validation accuracy"
CONSTRAINED = "Constraints"  # the method under which those of constraints' weights are stored
FOLDER = "selection"  # of the records, in the results


def base_settings(workspace: Workspace) -> TrainingSettings:
    """What the profile fixes for every model; a first look trains for a third of the epochs."""
    epochs = workspace.parts.epochs
    return _settings(workspace, max(1, epochs // 3) if workspace.profile.limit else epochs)


def selection_settings(workspace: Workspace) -> TrainingSettings:
    """What candidates are trained with in cross-validation; the same in a first look."""
    profile = workspace.parts
    return _settings(workspace, profile.selection_epochs or profile.epochs)


def _settings(workspace: Workspace, epochs: int) -> TrainingSettings:
    profile = workspace.parts
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
    (`dpnet.training.selection`). The best in cross-validation on the training pictures is used for every seed and every
    set of constraints.
    """
    tables, runs = {}, {}
    for layer in [only_layer] if only_layer else layers(workspace, backbone):
        place = workspace, dataset, backbone, is_global, layer
        best, tables[layer] = recorded_choice(_candidates(*place), _record_of(*place))
        settings = replace(best.settings, epochs=base_settings(workspace).epochs)
        runs[layer] = Choice(layer, replace(best, settings=settings))
    table = pd.concat(tables)
    order = table.sort_values(["accuracy", "cross_entropy"], ascending=[False, True], kind="stable")
    return runs[order.index[0][0]]


def forget_tried(workspace: Workspace, dataset: str, backbone: str, methods: Sequence[str]) -> None:
    """Delete the stored accuracies of what was tried for these methods, on all layers: others may be tried now."""
    keys = {"network": backbone, "method": methods, "image": dataset}
    workspace.store.delete(workspace.profile.name, SELECTION, **keys)


def try_candidates(
    workspace: Workspace, dataset: str, backbone: str, is_global: bool, layer: str, anew: bool = False
) -> None:
    """Cross-validate the candidates on one layer that no record holds, anew all, and store the accuracies of all."""
    place = workspace, dataset, backbone, is_global, layer
    candidates, record = _candidates(*place), _record_of(*place)
    _begin(workspace, record, anew)
    try:
        _, table = recorded_choice(candidates, record)
    except NotOnRecord:
        features, labels = layer_features(workspace, dataset, backbone, layer, "train")
        options: dict[str, Any] = {"folds": workspace.parts.folds, "record": record}
        _, table = choose(candidates, features, labels, int(labels.max()) + 1, **options)
    _store(workspace, dataset, backbone, method_name(is_global), pd.concat({layer: table}))


@lru_cache(maxsize=16)
def chosen_weights(workspace: Workspace, dataset: str, backbone: str) -> ConstraintWeights:
    """For each constraint the largest weight that costs no more accuracy than the profile tolerates."""
    choice, record = _weights_of(workspace, dataset, backbone)
    return recorded_weights(choice.run, record, tolerance=workspace.parts.constraint_tolerance)


def try_weights(workspace: Workspace, dataset: str, backbone: str, anew: bool = False) -> None:
    """Cross-validate the weights that `chosen_weights` needs and no record holds, anew all; store the accuracies."""
    profile = workspace.parts
    choice, record = _weights_of(workspace, dataset, backbone)
    _begin(workspace, record, anew)
    tolerance = profile.constraint_tolerance
    try:
        recorded_weights(choice.run, record, tolerance=tolerance)
    except NotOnRecord:
        features, labels = layer_features(workspace, dataset, backbone, choice.layer, "train")
        options: dict[str, Any] = {"tolerance": tolerance, "folds": profile.folds, "record": record}
        choose_weights(choice.run, features, labels, int(labels.max()) + 1, **options)
    table = pd.read_csv(record, index_col="candidate")
    _store(workspace, dataset, backbone, CONSTRAINED, pd.concat({choice.layer: table}))


def _begin(workspace: Workspace, record: Path, anew: bool) -> None:
    """Have on record what the project keeps; anew: nothing, though the project keeps its own until all is chosen."""
    if anew:
        record.unlink(missing_ok=True)
    else:
        bring_selection(workspace.profile.name, record)


def _weights_of(workspace: Workspace, dataset: str, backbone: str) -> tuple[Choice, Path]:
    """The unconstrained choice in the short form that candidates are trained in, and the record of the weights."""
    choice = chosen(workspace, dataset, backbone, False)
    short = replace(choice.run.settings, epochs=selection_settings(workspace).epochs)
    record = _record(workspace, dataset, backbone, f"{choice.layer}-weights")
    return choice._replace(run=replace(choice.run, settings=short)), record


def definition(workspace: Workspace, choice: Choice, backbone: str, dataset: str) -> float:
    """A number that changes with anything a model depends on: layer, recipe, settings, network, pictures."""
    facts = choice.layer, choice.run.recipe, choice.run.settings
    return float(int(_digest(workspace, dataset, backbone, *facts)[:12], 16))


def with_constraints(run: Run, weights: ConstraintWeights, names: tuple[str, ...]) -> Run:
    """The run under some of the constraints, at the weights given."""
    kept = ConstraintWeights(**{name: getattr(weights, name) for name in names})
    return replace(run, settings=run.settings.with_constraints(kept))


def method_name(is_global: bool) -> str:
    """The name under which accuracies of candidates are stored."""
    return "Global" if is_global else "Parts"


def _candidates(workspace: Workspace, dataset: str, backbone: str, is_global: bool, layer: str) -> list[Run]:
    settings, profile = selection_settings(workspace), workspace.parts
    if is_global:
        return global_candidates(settings, profile.wide_search)
    side = min(map_size(workspace, dataset, backbone, layer))
    return part_candidates(settings, side, PartRecipe(profile.parts_per_class), profile.wide_search)


def _record_of(workspace: Workspace, dataset: str, backbone: str, is_global: bool, layer: str) -> Path:
    return _record(workspace, dataset, backbone, f"{layer}-{method_name(is_global)}")


def _record(workspace: Workspace, dataset: str, backbone: str, kind: str) -> Path:
    """File of a selection; its name changes with what the candidates are trained on."""
    profile = workspace.parts
    options = selection_settings(workspace), profile.parts_per_class, profile.folds
    digest = _digest(workspace, dataset, backbone, *options)[:8]
    return workspace.results / FOLDER / f"{dataset}-{backbone}-{kind}-{digest}.csv"


def _digest(workspace: Workspace, dataset: str, backbone: str, *options: object) -> str:
    pictures = workspace.parts.train_images, pictures_digest(workspace, dataset)
    facts = options, workspace.digest(backbone), *pictures
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def _store(workspace: Workspace, dataset: str, backbone: str, method: str, table: pd.DataFrame) -> None:
    """Keep the accuracies of a table indexed by layer and candidate."""
    keys = workspace.profile.name, SELECTION, backbone, method, dataset
    found = table["accuracy"].items()
    workspace.sink.write(Row(*keys, f"{METRIC}: {layer}, {name}", value) for (layer, name), value in found)
