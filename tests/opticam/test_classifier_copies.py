"""What a classifier's copies keep: pixels, layer, which run of it, and the level of speed."""

import pytest
import torch
from torch import nn

from opticam import Classifier, OptiCAM

copied = pytest.mark.parametrize("copied", [Classifier.exact, Classifier.in_float64])
NORMALISED = {"mean": 0.0, "std": 1.0, "pixel_range": None}


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)
    )


@copied
def test_copies_read_the_same_layer_in_the_same_way(copied):
    images = 3 * torch.rand(2, 3, 9, 8) - 1
    classifier = Classifier(network(), "3", reshape=lambda output: output[:, :, None, None], **NORMALISED)
    features = copied(classifier).features(images)
    torch.testing.assert_close(features.float(), classifier.features(images))


@copied
def test_copies_take_the_same_pixels(copied):
    images = 3 * torch.rand(2, 3, 9, 8) - 1
    classifier = Classifier(network(), "1", **NORMALISED)
    expected = OptiCAM(Classifier(network().double(), "1", **NORMALISED), iterations=2)(images.double(), 1)
    maps = OptiCAM(copied(classifier), iterations=2, precision="float64")(images, 1)
    torch.testing.assert_close(maps, expected.float())


class Twice(nn.Module):
    """A layer that runs twice in a pass."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body, self.fc = nn.Conv2d(3, 3, 3, padding=1), nn.Linear(3, 4)

    def forward(self, images):
        return self.fc(self.body(self.body(images).relu()).relu().mean((2, 3)))


@copied
@pytest.mark.parametrize("call", [0, -1])
def test_copies_read_the_same_run_of_a_layer(copied, call):
    images, classifier = torch.rand(2, 3, 9, 8), Classifier(Twice(), "body", call=call)
    torch.testing.assert_close(copied(classifier).features(images).float(), classifier.features(images))


@copied
def test_copies_have_the_same_probabilities(copied):
    logits, classifier = torch.tensor([[0.0, 2.0]]), Classifier(network(), "1", probability="sigmoid")
    torch.testing.assert_close(copied(classifier).probabilities(logits), logits.sigmoid())


@pytest.mark.parametrize("level", ["exact", "fast", "half"])
def test_copies_in_float64_keep_exact_and_never_take_half(level):
    classifier = Classifier(network(), "1", optimize=level)
    assert classifier.in_float64().optimize == ("exact" if level == "exact" else "fast")
    assert classifier.exact().optimize == "exact"
