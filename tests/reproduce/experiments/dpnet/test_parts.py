"""The figure of an explained decision, from models and choices that may have to be made anew."""

import shutil

import pytest
import torch

from opticam.sample.pictures import SampleSet
from reproduce.experiments.dpnet import parts as dpnet_parts
from reproduce.experiments.dpnet.parts import explanation_figure
from reproduce.parts import data as part_data
from reproduce.parts import models as part_models
from reproduce.parts.models import PartRun, train_missing

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
    for module in (part_data, part_models, dpnet_parts):
        monkeypatch.setattr(module, "dataset_split", pictures)

    def open_():
        workspace = make_parts_workspace(epochs=2, folds=2, layers={})
        workspace.cache = workspace.results / "cache"
        return workspace

    return open_


def test_an_explanation_is_drawn_where_the_choice_is_not_stored_any_more(workspace):
    """The model is: only the cross-validation has to be done again, which trains and so needs gradients."""
    run = PartRun("fine", "tiny", "Parts [none]", 0)
    train_missing(workspace(), [run])
    selection = workspace().results / "selection"
    before = {path.name: path.read_bytes() for path in selection.iterdir()}
    shutil.rmtree(selection)
    figure = explanation_figure(workspace(), run)
    assert {path.name: path.read_bytes() for path in selection.iterdir()} == before
    words = [text.get_text() for text in figure.findobj(lambda artist: hasattr(artist, "get_text"))]
    assert any("(fine): logit" in text for text in words)
    assert torch.is_grad_enabled()
