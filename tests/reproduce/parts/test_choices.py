"""Cross-validation's choices: made once, kept on disk under what they depend on, and the best of the table."""

import zlib
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

import dpnet.training.selection
from dpnet import ConstraintWeights
from dpnet.training.selection import NotOnRecord
from reproduce.parts import choices as part_choices
from reproduce.parts import committed_selection
from reproduce.parts.choices import (
    METRIC,
    SELECTION,
    chosen,
    chosen_weights,
    definition,
    try_candidates,
    try_weights,
    with_constraints,
)

LAYERS = ("features.3", "features.5")


class Validation:
    """Stands in for training: notes what is validated, and gives an accuracy that depends on the name alone."""

    def __init__(self) -> None:
        self.calls = []

    def __call__(self, run, features, labels, num_classes, folds, device="cpu"):
        self.calls.append((run, folds))
        return {"accuracy": zlib.crc32(run.name.encode()) % 997 / 10, "cross_entropy": 1.0}


@pytest.fixture
def validation(monkeypatch):
    found = Validation()
    monkeypatch.setattr(dpnet.training.selection, "cross_validate", found)
    sides = {"features.3": 6, "features.5": 7}

    def features(workspace, dataset, backbone, layer, split):
        return torch.zeros(12, 5, sides[layer], sides[layer]), torch.arange(12) % 3

    monkeypatch.setattr(part_choices, "layer_features", features)
    monkeypatch.setattr(part_choices, "map_size", lambda *place: 2 * (sides[place[-1]],))
    return found


def records(workspace, kind: str = "") -> list[Path]:
    return sorted((workspace.results / "selection").glob(f"*{kind}-*.csv"))


def tables(workspace, method: str) -> dict[str, tuple[Path, pd.DataFrame]]:
    """The record of each layer: its file, and its candidates."""
    found = [(path, pd.read_csv(path, index_col="candidate")) for path in records(workspace, method)]
    return {next(layer for layer in LAYERS if layer in path.name): (path, table) for path, table in found}


def choose_both(workspace) -> dict[str, part_choices.Choice]:
    return {name: choose(workspace, name == "Global") for name in ("Global", "Parts")}


def choose(workspace, is_global: bool = False) -> part_choices.Choice:
    """Tried on every layer, then read."""
    for layer in LAYERS:
        try_candidates(workspace, "fine", "tiny", is_global, layer)
    return chosen(workspace, "fine", "tiny", is_global)


def test_reading_a_choice_trains_and_writes_nothing(make_parts_workspace, validation):
    """Of a selection that has not run, or whose record lacks a candidate, it says so."""
    with pytest.raises(NotOnRecord, match="no candidate"):
        chosen(make_parts_workspace(), "fine", "tiny", False)
    assert not validation.calls and not records(make_parts_workspace())
    choose(make_parts_workspace())
    with pytest.raises(NotOnRecord, match="no candidate"):
        chosen_weights(make_parts_workspace(), "fine", "tiny")
    path = records(make_parts_workspace(), "Parts")[0]
    whole = path.read_bytes()
    pd.read_csv(path).iloc[:-1].to_csv(path, index=False)
    calls = len(validation.calls)
    with pytest.raises(NotOnRecord, match="no candidate"):
        chosen(make_parts_workspace(), "fine", "tiny", False)
    path.write_bytes(whole)
    chosen(make_parts_workspace(), "fine", "tiny", False)
    assert len(validation.calls) == calls and path.read_bytes() == whole


@pytest.mark.parametrize(("wide", "count"), [(False, 6), (True, 16)])
def test_both_methods_have_as_many_candidates_on_every_layer(make_parts_workspace, validation, wide, count):
    choose_both(make_parts_workspace(wide_search=wide))
    assert [len(pd.read_csv(path)) for path in records(make_parts_workspace())] == 4 * [count]
    assert len(validation.calls) == 4 * count


def test_a_stored_selection_is_reused_and_no_feature_is_read(make_parts_workspace, validation, monkeypatch):
    first = choose_both(make_parts_workspace())
    try_weights(make_parts_workspace(), "fine", "tiny")
    weights = chosen_weights(make_parts_workspace(), "fine", "tiny")
    assert validation.calls
    validation.calls.clear()
    monkeypatch.delattr(part_choices, "layer_features")
    assert choose_both(make_parts_workspace()) == first
    try_weights(make_parts_workspace(), "fine", "tiny")
    assert chosen_weights(make_parts_workspace(), "fine", "tiny") == weights
    assert not validation.calls


def test_an_interrupted_selection_goes_on_where_it_stopped(make_parts_workspace, validation):
    whole = choose_both(make_parts_workspace())
    path = records(make_parts_workspace(), "Parts")[0]
    pd.read_csv(path).iloc[:-2].to_csv(path, index=False)
    validation.calls.clear()
    assert choose_both(make_parts_workspace()) == whole
    assert len(validation.calls) == 2


@pytest.mark.parametrize("method", ["Global", "Parts"])
def test_the_winner_has_the_highest_accuracy_of_the_stored_tables(make_parts_workspace, validation, method):
    workspace = make_parts_workspace()
    choice = choose_both(workspace)[method]
    found = tables(workspace, method)
    best = {layer: table["accuracy"].max() for layer, (_, table) in found.items()}
    layer = max(best, key=best.get)
    assert (choice.layer, choice.run.name) == (layer, found[layer][1]["accuracy"].idxmax())
    rows = workspace.store.frame("test", SELECTION, network="tiny", method=method, image="fine")
    stored = rows.set_index("metric")["value"]
    assert len(stored) == sum(len(table) for _, table in found.values())
    assert stored.max() == best[layer] == stored[f"{METRIC}: {layer}, {choice.run.name}"]

    (other,) = set(found) - {layer}
    path, table = found[other]
    name = table.index[2]
    table.loc[name, "accuracy"] = best[layer] + 1
    table.to_csv(path)
    again = choose_both(make_parts_workspace())[method]
    assert (again.layer, again.run.name) == (other, name)


def test_of_equal_accuracies_the_lower_cross_entropy_wins(make_parts_workspace, validation):
    choose_both(make_parts_workspace())
    for layer, (path, table) in tables(make_parts_workspace(), "Global").items():
        table = table.assign(accuracy=50.0, cross_entropy=2.0)
        if layer == "features.5":
            expected = table.index[3]
            table.loc[expected, "cross_entropy"] = 1.5
        table.to_csv(path)
    choice = choose_both(make_parts_workspace())["Global"]
    assert (choice.layer, choice.run.name) == ("features.5", expected)


@pytest.mark.parametrize(
    "change",
    [{"epochs": 10}, {"batch_size": 9}, {"parts_per_class": 3}, {"train_images": 11}, {"folds": 2}],
    ids=str,
)
def test_other_settings_or_pictures_have_a_record_of_their_own(make_parts_workspace, validation, change):
    choose_both(make_parts_workspace())
    before, calls = set(records(make_parts_workspace())), len(validation.calls)
    choose_both(make_parts_workspace(**change))
    assert len(records(make_parts_workspace())) == 2 * len(before)
    assert len(validation.calls) == 2 * calls


def test_another_network_has_a_record_of_its_own(make_parts_workspace, validation):
    choose_both(make_parts_workspace())
    before = set(records(make_parts_workspace()))
    other = make_parts_workspace()
    classifier = other.classifier("tiny")
    next(classifier.network.parameters()).data.add_(1e-3)
    other.classifier = lambda network, normalised=True: classifier
    choose_both(other)
    assert len(records(make_parts_workspace())) == 2 * len(before)


def test_a_first_look_shares_the_selection_and_trains_shorter(make_parts_workspace, validation):
    whole = choose_both(make_parts_workspace())
    runs, folds = zip(*validation.calls)
    assert set(folds) == {3} and {run.settings.epochs for run in runs} == {9}
    validation.calls.clear()
    short = choose_both(make_parts_workspace(limit=2))
    assert not validation.calls
    for method, choice in short.items():
        settings = replace(whole[method].run.settings, epochs=3)
        assert choice == whole[method]._replace(run=replace(whole[method].run, settings=settings))


def test_candidates_and_weights_are_tried_for_the_profiles_selection_epochs(make_parts_workspace, validation):
    choices = choose_both(make_parts_workspace(selection_epochs=4))
    tried = len(validation.calls)
    try_weights(make_parts_workspace(selection_epochs=4), "fine", "tiny")
    assert len(validation.calls) > tried
    assert {run.settings.epochs for run, _ in validation.calls} == {4}
    assert {choice.run.settings.epochs for choice in choices.values()} == {9}


def test_a_kept_selection_is_read_in_place_of_training(
    make_parts_workspace, validation, tmp_path, monkeypatch
):
    """The project's file gives the choices that made it; under another name, or of other settings, nothing."""
    monkeypatch.setattr(committed_selection, "PROFILES", tmp_path)
    whole = choose_both(make_parts_workspace())
    committed_selection.keep_selection("test", records(make_parts_workspace()))
    for path in records(make_parts_workspace()):
        path.unlink()
    validation.calls.clear()
    assert choose_both(make_parts_workspace()) == whole
    assert not validation.calls
    choose_both(make_parts_workspace(batch_size=9))
    assert validation.calls


def test_a_kept_selection_of_one_data_set_leaves_those_of_others(tmp_path, monkeypatch):
    monkeypatch.setattr(committed_selection, "PROFILES", tmp_path)
    lines = {"scenes-net-1": "a,80,0.5", "birds-net-2": "a,90,0.25", "birds-net-3": "b,70,1"}
    paths = [tmp_path / f"{name}.csv" for name in lines]
    for path in paths:
        path.write_text(f"candidate,accuracy,cross_entropy\n{lines[path.stem]}\n")
    kept = committed_selection.keep_selection("test", paths)
    paths[1].write_text("candidate,accuracy,cross_entropy\na,95,0.125\n")
    committed_selection.keep_selection("test", paths[1:2])
    lines["birds-net-2"] = "a,95,0.125"
    expected = [f"{name},{line}" for name, line in sorted(lines.items())]
    assert kept.read_text().splitlines() == ["record,candidate,accuracy,cross_entropy", *expected]


def test_a_selection_made_anew_trains_all_and_keeps_the_project_s_until_it_is_done(
    make_parts_workspace, validation, tmp_path, monkeypatch
):
    """`select-parts --force`, interrupted: what is kept still stands for it."""
    monkeypatch.setattr(committed_selection, "PROFILES", tmp_path)
    choose_both(make_parts_workspace())
    kept = committed_selection.keep_selection("test", records(make_parts_workspace()))
    whole, count = kept.read_bytes(), len(validation.calls)
    for is_global in (False, True):
        for layer in LAYERS:
            try_candidates(make_parts_workspace(), "fine", "tiny", is_global, layer, anew=True)
    assert len(validation.calls) == 2 * count and kept.read_bytes() == whole
    monkeypatch.setattr(part_choices, "choose", lambda *given, **options: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        try_candidates(make_parts_workspace(), "fine", "tiny", True, LAYERS[0], anew=True)
    assert kept.read_bytes() == whole
    try_candidates(make_parts_workspace(), "fine", "tiny", True, LAYERS[0])
    assert len(validation.calls) == 2 * count


def test_weights_are_the_largest_within_the_tolerance_of_the_stored_table(make_parts_workspace, validation):
    choice = choose(make_parts_workspace())
    try_weights(make_parts_workspace(), "fine", "tiny")
    (path,) = records(make_parts_workspace(), "weights")
    assert choice.layer in path.name
    for tolerance in (0.0, 1.5, 30.0):
        validation.calls.clear()
        workspace = make_parts_workspace(constraint_tolerance=tolerance)
        try_weights(workspace, "fine", "tiny")
        weights = chosen_weights(workspace, "fine", "tiny")
        table = pd.read_csv(path, index_col="candidate")["accuracy"]
        least = table[choice.run.name] - tolerance
        for constraint, grid in dpnet.training.selection.WEIGHT_GRIDS.items():
            cheap = (w for w in grid if table.get(f"{choice.run.name}, {constraint} {w:g}", -1.0) >= least)
            assert getattr(weights, constraint) == next(cheap, min(grid))
    rows = workspace.store.frame("test", SELECTION, method="Constraints")
    assert set(rows["value"]) <= set(table)


def test_a_run_under_some_constraints_has_their_weights_and_no_other(make_parts_workspace, validation):
    run = choose(make_parts_workspace()).run
    weights = ConstraintWeights(orthogonality=3.0, assignment=0.2, class_specificity=7.0)
    found = with_constraints(run, weights, ("orthogonality", "class_specificity"))
    assert found.settings.constraints == ConstraintWeights(orthogonality=3.0, class_specificity=7.0)
    assert found.recipe == run.recipe and found.name == run.name


def test_a_definition_changes_with_all_that_a_model_depends_on(make_parts_workspace, validation):
    workspace = make_parts_workspace()
    choice = choose(workspace)
    plan, settings = choice.run, choice.run.settings
    choices = [
        choice,
        choice._replace(layer="another"),
        choice._replace(run=replace(plan, settings=settings.with_seed(5))),
        choice._replace(run=replace(plan, settings=replace(settings, epochs=8))),
        choice._replace(run=replace(plan, recipe=replace(plan.recipe, parts_per_class=4))),
    ]
    found = [definition(workspace, one, "tiny", "fine") for one in choices]
    found.append(definition(make_parts_workspace(train_images=11), choice, "tiny", "fine"))
    assert len(set(found)) == len(found)
    assert definition(make_parts_workspace(), choice, "tiny", "fine") == found[0]
    assert (
        definition(workspace, choice._replace(run=replace(plan, name="renamed")), "tiny", "fine") == found[0]
    )
