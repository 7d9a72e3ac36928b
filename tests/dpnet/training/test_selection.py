import os
import resource
import signal
from dataclasses import replace
from functools import partial

import pandas as pd
import pytest
import torch

from dpnet.model.recipes import GlobalRecipe, PartRecipe
from dpnet.model.regions import RegionScheme
from dpnet.training.candidates import global_candidates, part_candidates
from dpnet.training.runs import Run
from dpnet.training.selection import (
    FeatureSubset,
    choose,
    choose_weights,
    cross_validate,
    recorded_choice,
    stratified_folds,
)
from dpnet.training.settings import TrainingSettings


def hidden_part(num_images=45, classes=3, dim=9):
    """The class is in 3 of 12 cells, and hidden from the average by the others."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(num_images) % classes
    cells = torch.rand(num_images, 12, generator=generator).argsort(dim=1) < 3
    strength = torch.where(cells, 6.0, -2.0)[:, None, :] * torch.eye(dim)[labels][:, :, None]
    maps = strength + torch.randn(num_images, dim, 12, generator=generator)
    return maps.unflatten(2, (3, 4)), labels


QUICK = TrainingSettings(epochs=12, batch_size=16, learning_rate_parts=3e-2, learning_rate_classifier=3e-2)
CANDIDATES = [
    Run("global", GlobalRecipe(), QUICK),
    Run("parts", PartRecipe(3), QUICK),
    Run("untrained parts", PartRecipe(3), TrainingSettings(epochs=1, learning_rate_classifier=0.0)),
]


def test_folds_are_balanced_in_every_class_and_depend_on_the_seed():
    labels = torch.tensor([0] * 7 + [1] * 11)
    fold = stratified_folds(labels, 3)
    for label in (0, 1):
        counts = torch.bincount(fold[labels == label])
        assert counts.max() - counts.min() <= 1 and len(counts) == 3
    assert not torch.equal(fold, stratified_folds(labels, 3, seed=1))


def test_no_image_is_predicted_by_a_model_that_has_seen_it():
    features, labels = hidden_part()
    noise = torch.randn(features.shape, generator=torch.Generator().manual_seed(1))
    run = Run("parts", PartRecipe(3), replace(QUICK, epochs=60))
    assert cross_validate(run, noise, labels, 3)["accuracy"] < 60
    assert cross_validate(run, features, labels, 3)["accuracy"] > 85


@pytest.mark.parametrize("recipe", [GlobalRecipe("l2", True), PartRecipe(3)], ids=["global", "parts"])
def test_candidates_train_on_stored_halves_as_on_the_same_numbers_in_their_own_precision(recipe):
    features, labels = hidden_part()
    halves = features.bfloat16()
    run = Run("any", recipe, QUICK)
    assert cross_validate(run, halves, labels, 3) == cross_validate(run, halves.float(), labels, 3)


def test_the_best_candidate_is_chosen_and_kept_on_disk(tmp_path):
    features, labels = hidden_part()
    record = tmp_path / "new" / "selection.csv"
    best, table = choose(CANDIDATES, features, labels, 3, record=record)
    assert best.name == "parts" and list(table.index) == ["global", "parts", "untrained parts"]
    assert table["accuracy"].idxmax() == "parts"
    stored = pd.read_csv(record)
    stored.loc[stored["candidate"] == "global", "accuracy"] = 100.5
    stored.to_csv(record, index=False)
    best, table = choose(CANDIDATES, features, labels, 3, record=record)
    assert best.name == "global" and table.loc["global", "accuracy"] == 100.5


def test_a_candidate_that_diverged_stays_on_record(tmp_path, monkeypatch):
    figures = iter(
        [{"accuracy": 33.0, "cross_entropy": float("nan")}, {"accuracy": 80.0, "cross_entropy": 1.0}]
    )
    monkeypatch.setattr("dpnet.training.selection.cross_validate", lambda *given, **device: next(figures))
    record = tmp_path / "selection.csv"
    best, table = choose(CANDIDATES[:2], *hidden_part(), 3, record=record)
    again, read = recorded_choice(CANDIDATES[:2], record)
    assert best == again == CANDIDATES[1]
    pd.testing.assert_frame_equal(read, table)


def test_a_record_is_whole_whenever_a_run_is_killed(tmp_path, monkeypatch):
    """Killed between opening the file and filling it, it holds the candidates of before."""
    figures = {"accuracy": 80.0, "cross_entropy": 1.0}
    monkeypatch.setattr("dpnet.training.selection.cross_validate", lambda *given, **device: figures)
    features, labels = hidden_part()
    record = tmp_path / "selection.csv"
    choose(CANDIDATES[:2], features, labels, 3, record=record)
    before = record.read_bytes()
    child = os.fork()
    if not child:  # a file of this process can have no byte from here on, as on a full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
            resource.setrlimit(limit, (0, 0))
        choose(CANDIDATES, features, labels, 3, record=record)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGXFSZ
    assert record.read_bytes() == before
    assert list(choose(CANDIDATES, features, labels, 3, record=record)[1].index) == [
        run.name for run in CANDIDATES
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n",
        "candidate,accuracy,cross_entropy\n",
        "candidate,accuracy,cross_entropy\nglobal,80.1,0.",
        "a,b\n1,2\n",
    ],
    ids=["empty", "blank", "head alone", "cut", "another file"],
)
def test_an_empty_or_cut_record_is_named(tmp_path, text):
    record = tmp_path / "selection.csv"
    record.write_text(text)
    for read in (recorded_choice, partial(choose, features=None, labels=None, num_classes=3)):
        with pytest.raises(ValueError, match=r"selection\.csv is empty or cut short; remove it"):
            read(CANDIDATES, record=record)


def test_the_largest_weight_that_costs_little_accuracy_is_chosen(tmp_path, monkeypatch):
    features, labels = hidden_part()
    run, record = Run("parts", PartRecipe(3), QUICK), tmp_path / "weights.csv"
    grids = {"class_specificity": (1e-3, 1e4), "orthogonality": (1e5, 1e6)}
    monkeypatch.setattr("dpnet.training.selection.WEIGHT_GRIDS", grids)
    weights = choose_weights(run, features, labels, 3, tolerance=3.0, record=record)
    table = pd.read_csv(record, index_col="candidate")["accuracy"]
    assert table["parts, class_specificity 10000"] < table["parts"] - 3
    assert table["parts, class_specificity 0.001"] >= table["parts"] - 3
    assert weights.class_specificity == 1e-3
    assert weights == choose_weights(run, features, labels, 3, tolerance=3.0, record=record)
    assert choose_weights(run, features, labels, 3, tolerance=200.0, record=record).orthogonality == 1e6
    assert choose_weights(run, features, labels, 3, tolerance=-200.0, record=record).orthogonality == 1e5


def test_a_subset_reads_through_to_the_whole():
    features = torch.rand(6, 2, 3, 4)
    subset = FeatureSubset(features, torch.tensor([5, 0, 3]))
    assert subset.shape == (3, 2, 3, 4) and len(subset) == 3
    assert torch.equal(subset[torch.tensor([2, 0])], features[[3, 5]])


@pytest.mark.parametrize("side, window", [(7, 3), (13, 5), (2, 2)])
def test_built_in_candidates_have_names_of_their_own_and_fit_the_map(side, window):
    candidates = global_candidates(QUICK) + part_candidates(QUICK, side)
    assert len({run.name for run in candidates}) == len(candidates) == 12
    assert len(global_candidates(QUICK)) == len(part_candidates(QUICK, side))
    sizes = {run.recipe.scheme.sizes for run in candidates if isinstance(run.recipe, PartRecipe)}
    assert {(), (window,)} <= sizes and all(max(s, default=1) <= side for s in sizes)


def test_candidates_keep_what_is_not_chosen_of_the_given_recipe():
    scheme = RegionScheme(x_norm="none")
    given = PartRecipe(3, scheme, 0.5, centre=False, classifier_initialisation="own_zero")
    for run in part_candidates(QUICK, 7, given):
        assert replace(run.recipe, scheme=scheme, initialisation=given.initialisation) == given
        assert run.recipe.scheme.x_norm == "none"
    assert {run.recipe.x_norm for run in global_candidates(QUICK, recipe=GlobalRecipe("none"))} == {"none"}


def test_too_few_images_of_a_class_are_named():
    with pytest.raises(ValueError, match="class 1 has only 2"):
        stratified_folds(torch.tensor([0, 0, 0, 1, 1]), 3)
    with pytest.raises(ValueError, match="folds is 1"):
        stratified_folds(torch.tensor([0, 0, 0, 1, 1]), 1)
