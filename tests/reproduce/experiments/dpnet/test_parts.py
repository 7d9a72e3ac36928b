"""The figure of an explained decision, and that what is not stored is neither drawn nor computed."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
import torch

import dpnet.data.features
from dpnet.data.features import FeatureCache
from opticam.sample.pictures import SampleSet
from reproduce.experiments.dpnet import parts as dpnet_parts
from reproduce.experiments.dpnet import shown as dpnet_shown
from reproduce.experiments.dpnet.constraints import ConstraintTable
from reproduce.experiments.dpnet.deviations import DpNetDeviations
from reproduce.experiments.dpnet.main import MainTable
from reproduce.experiments.dpnet.parts import PartFigures, explanation_figure
from reproduce.experiments.dpnet.shown import shown_on_test_pictures
from reproduce.parts import data as part_data
from reproduce.parts import measuring as part_measuring
from reproduce.parts import models as part_models
from reproduce.parts.models import PartRun, train_missing
from reproduce.workspace.workspace import PartsInput

COUNT, SIDE = 12, 17


def pictures(workspace, dataset: str, split: str) -> SampleSet:
    """Three classes of one colour each, with a true part in the middle."""
    labels = torch.arange(COUNT) % 3
    generator = torch.Generator().manual_seed(len(split))
    noise = torch.randint(0, 60, (COUNT, 3, SIDE, SIDE), generator=generator)
    images = 90 * torch.eye(3)[labels][:, :, None, None] + noise
    centres, ids = [torch.full((1, 2), SIDE / 2)] * COUNT, [torch.zeros(1, dtype=torch.int64)] * COUNT
    names = ["red", "green", "blue"]
    return SampleSet(dataset, split, images.byte(), labels, [], centres, ids, [], names, [[0]] * 3)


@pytest.fixture
def workspace(make_parts_workspace, monkeypatch):
    for module in (part_data, part_measuring, part_models, dpnet_shown):
        monkeypatch.setattr(module, "dataset_split", pictures)

    def open_(limit=None):
        workspace = make_parts_workspace(limit, epochs=3, folds=2, layers={})
        workspace.cache = workspace.results / "cache"
        return workspace

    return open_


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its bytes; SQLite's notes for its readers apart."""
    files = (
        path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(("-shm", "-wal"))
    )
    return {str(path): path.read_bytes() for path in files}


def test_a_decision_is_explained_from_what_is_stored(workspace):
    run = PartRun("fine", "tiny", "Parts [none]", 0)
    train_missing(workspace(), [run])
    before = snapshot(workspace().results)
    figure = explanation_figure(shown_on_test_pictures(workspace(), {"none": run}))
    words = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    assert any("(fine): logit" in text for text in words)
    assert snapshot(workspace().results) == before and torch.is_grad_enabled()


def test_a_first_look_leaves_the_models_of_the_whole_run_as_they_are(workspace, monkeypatch):
    """It trains for a third of the epochs: other models, with rows and weights of their own."""
    table = MainTable()

    def told(given):
        cells = table.tables(given)["dpnet_main"].cells
        return cells[cells["n"] > 0].reset_index(drop=True)

    table.run(workspace())
    whole, weights = told(workspace()), snapshot(workspace().results / "parts")
    assert set(whole["n"]) == {2}
    assert told(workspace(limit=1)).empty
    table.run(workspace(limit=1))
    assert set(told(workspace(limit=8))["n"]) == {1}  # every first look has the same models
    pd.testing.assert_frame_equal(told(workspace()), whole, check_exact=True)
    assert snapshot(workspace().results / "parts") == weights
    monkeypatch.setattr(part_models, "train", lambda *given: pytest.fail("it trains anew"))
    table.run(workspace())
    table.run(workspace(limit=8))


def test_features_larger_than_the_bound_stay_on_disk_from_selection_to_figures(workspace, monkeypatch):
    monkeypatch.setattr(dpnet.data.features, "LEAST_BLOCK", 4)
    given, run = workspace(), PartRun("fine", "tiny", "Parts [none]", 0)
    picture = 6 * 8 * 8 * 4  # six float32 maps of 8 x 8
    given.parts_input = PartsInput(memory=(COUNT + 5) * picture)  # the one shard, and blocks of five
    train_missing(given, [run])
    features, _ = part_models.run_features(given, run, "train")
    assert isinstance(features, FeatureCache) and features.block_size == 5 and features.shape[1:] == (6, 8, 8)
    assert set(given.store.frame("test", "parts", metric="accuracy")["method"]) == {"Parts [none]"}
    assert explanation_figure(shown_on_test_pictures(given, {"none": run})).axes


@pytest.mark.parametrize("lost", ["selection", "cache", "parts"])
def test_what_is_not_stored_is_not_drawn_and_nothing_is_computed_for_it(workspace, monkeypatch, lost):
    """The cross-validated choice, the features and the trained model are each needed."""
    train_missing(workspace(), [PartRun("fine", "tiny", "Parts [none]", 0)])
    drawn = []
    for name in ("explanation_figure", "gallery_figure"):
        monkeypatch.setattr(dpnet_parts, name, lambda *given, **label: drawn.append(given))
    PartFigures().figures(workspace())
    assert len(drawn) == 2
    drawn.clear()
    shutil.rmtree(workspace().results / lost)
    before = snapshot(workspace().results)
    for name in ("train", "extract", "try_candidates"):
        monkeypatch.setattr(part_models, name, lambda *given, **options: pytest.fail("it computes"))
    assert PartFigures().figures(workspace()) == {} and not drawn
    assert snapshot(workspace().results) == before


def test_another_recipe_replaces_what_the_deviations_rest_on(make_parts_workspace, workspace):
    """As in a folder of its own: measured again, and of the candidates of this selection alone."""

    def found(folder, parts):
        given = make_parts_workspace(epochs=2, folds=2, layers={}, parts_per_class=parts)
        given.results = given.results.parent / folder
        return given

    def told(given):
        given.cache = given.results / "cache"
        ConstraintTable().run(given)
        DpNetDeviations().run(given)
        return [
            (effect.quantity, effect.one, effect.other)
            for deviation in DpNetDeviations().deviations(given)
            for effect in deviation.effects
        ]

    first, again, fresh = told(found("one", 1)), told(found("one", 3)), told(found("two", 3))
    assert again == fresh != first
