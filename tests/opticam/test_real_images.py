"""Real ImageNet pictures and a real network, against figures of an independent plain implementation."""

import os
from pathlib import Path

import pytest
import torch

from opticam import Classifier, FakeCAM, GradCAM, OptiCAM
from opticam.data.imagenet import ImageNetSet
from opticam.metrics import faithfulness

DATA = Path(os.environ.get("OPTICAM_DATA", "no-such-folder"))
pytestmark = pytest.mark.skipif(
    not (DATA / "imagenet_val").is_dir(), reason="OPTICAM_DATA names no folder with imagenet_val"
)


@pytest.fixture(scope="module")
def classifier():
    weights = DATA / "weights" / "squeezenet1_1.pth"
    mean = [value / 255 for value in (123, 117, 104)]
    return Classifier.from_name("squeezenet1_1", weights, mean=mean, std=[1 / 255] * 3)


@pytest.fixture(scope="module")
def pictures():
    folder = DATA / "imagenet_val"
    data = ImageNetSet(folder / "images", folder / "labels.csv", transform="squash224", limit=64)
    images, labels = zip(*(data[index] for index in range(64)))
    return torch.stack(images), torch.tensor(labels)


def means(classifier, method, images, labels):
    results = [
        faithfulness(classifier, x, method(x, y), y) for x, y in zip(images.split(16), labels.split(16))
    ]
    return {name: torch.cat([result[name] for result in results]).mean().item() for name in results[0]}


@pytest.mark.parametrize(
    ("kind", "expected"), [(FakeCAM, (0.4, 0.2, 48.4)), (GradCAM, (37.7, 6.2, 26.6))], ids=["fake", "grad"]
)
def test_figures_of_an_independent_implementation(classifier, pictures, kind, expected):
    found = means(classifier, kind(classifier), *pictures)
    for name, value, tolerance in zip(("AD", "AG", "AI"), expected, (0.5, 1.5, 3)):
        assert found[name] == pytest.approx(value, abs=tolerance)


def test_opti_cam_keeps_the_class_where_grad_cam_loses_it(classifier, pictures):
    images, labels = (tensor[:8] for tensor in pictures)
    grad_cam = means(classifier, GradCAM(classifier), images, labels)
    opti_cam = means(classifier, OptiCAM(classifier, iterations=50), images, labels)
    assert opti_cam["AD"] < 10 < grad_cam["AD"]
    assert opti_cam["AG"] > grad_cam["AG"] + 10
    assert opti_cam["AI"] > grad_cam["AI"]
