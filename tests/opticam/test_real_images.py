"""Real ImageNet pictures and a real network, against figures of an independent plain implementation."""

import pytest
import torch

from opticam import FakeCAM, GradCAM, OptiCAM
from opticam.metrics import faithfulness


def means(classifier, method, images, labels):
    results = [
        faithfulness(classifier, x, method(x, y), y) for x, y in zip(images.split(16), labels.split(16))
    ]
    return {name: torch.cat([result[name] for result in results]).mean().item() for name in results[0]}


@pytest.mark.parametrize(
    ("kind", "expected"), [(FakeCAM, (0.4, 0.2, 48.4)), (GradCAM, (37.7, 6.2, 26.6))], ids=["fake", "grad"]
)
def test_figures_of_an_independent_implementation(squeezenet, pictures, kind, expected):
    classifier = squeezenet()
    found = means(classifier, kind(classifier), *pictures)
    for name, value, tolerance in zip(("AD", "AG", "AI"), expected, (0.5, 1.5, 3)):
        assert found[name] == pytest.approx(value, abs=tolerance)


def test_opti_cam_keeps_the_class_where_grad_cam_loses_it(squeezenet, pictures):
    classifier = squeezenet()
    images, labels = (tensor[:8] for tensor in pictures)
    grad_cam = means(classifier, GradCAM(classifier), images, labels)
    opti_cam = means(classifier, OptiCAM(classifier, iterations=50), images, labels)
    assert opti_cam["AD"] < 10 < grad_cam["AD"]
    assert opti_cam["AG"] > grad_cam["AG"] + 10
    assert opti_cam["AI"] > grad_cam["AI"]
