"""What is read of a batch: its seconds an image, and the curves of insertion and deletion."""

import pytest
import torch

from opticam import FakeCAM, metrics
from reproduce.saliency import explained_batch
from reproduce.saliency.explained_batch import Evaluated, View, timed_maps
from reproduce.saliency.requests import Request
from reproduce.workspace.sources import Batch
from reproduce.workspace.stopwatch import Spent


@pytest.fixture
def view(make_workspace) -> View:
    """Three images of 17 x 19 pixels."""
    classifier = make_workspace().classifier("tiny")
    images = torch.rand(3, 3, 17, 19, generator=torch.Generator().manual_seed(0))
    return View(classifier, Batch(["a", "b", "c"], images, torch.tensor([0, 1, 2])), classifier(images))


def test_seconds_are_of_one_image_and_by_the_clock(view, monkeypatch):
    monkeypatch.setattr(
        explained_batch, "stopwatch", lambda make, device: (make(), Spent(seconds=6.0, cpu_seconds=9.0))
    )
    assert timed_maps(view, lambda: FakeCAM(view.classifier), None, None).seconds == 2.0


@pytest.mark.parametrize("name", ["insertion", "deletion"])
def test_a_curve_has_as_many_steps_as_an_image_has_columns(view, name):
    method = FakeCAM(view.classifier)
    given = Evaluated(
        view,
        Request("tiny", "Fake-CAM"),
        lambda: method,
        lambda: timed_maps(view, lambda: method, None, None),
    )
    direct = getattr(metrics, name)(view.classifier, view.batch.images, given.maps, view.predicted, steps=19)
    assert torch.equal(getattr(given, name).curve, direct.curve)
