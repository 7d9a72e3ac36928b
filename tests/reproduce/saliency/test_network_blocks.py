"""The last blocks of real architectures."""

import pytest
import torchvision
from torch import nn

from reproduce.saliency.network_blocks import last_blocks


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("resnet18", ["fc", "layer4", "layer3", "layer2", "layer1"]),
        ("squeezenet1_1", ["classifier.1", *(f"features.{i}" for i in (12, 11, 10, 9))]),
        ("vgg11", ["classifier.6", "classifier.3", "classifier.0", "features.18", "features.16"]),
    ],
)
def test_last_blocks(name, expected):
    network = torchvision.models.get_model(name, weights=None)
    assert last_blocks(network, 5) == expected


def test_transformer_blocks_end_with_the_head():
    network = torchvision.models.VisionTransformer(32, 8, 6, 2, 8, 8, num_classes=3)
    blocks = last_blocks(network, 5)
    assert blocks[0] == "heads.head"
    assert blocks[-1].startswith("encoder.layers.encoder_layer_")


def test_too_small_a_network_is_refused():
    with pytest.raises(ValueError, match="has only 2 blocks, not 5"):
        last_blocks(nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Linear(4, 2)), 5)
