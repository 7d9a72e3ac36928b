"""Tiny networks with random weights, images and class ids for the saliency tests."""

import pytest
import torch
import torchvision
from torch import nn

CLASSES = 7


class GapNetwork(nn.Module):
    """Two residual blocks with in-place ReLU, global average pooling and one linear layer."""

    def __init__(self, channels=12):
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, channels, 3, 2, 1, bias=False), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
        )
        self.block = torchvision.models.resnet.BasicBlock(channels, channels)
        self.last = torchvision.models.resnet.BasicBlock(channels, channels)
        self.fc = nn.Linear(channels, CLASSES)

    def forward(self, images):
        return self.fc(self.last(self.block(self.stem(images))).mean((2, 3)))


def vgg_network(channels=10):
    """Convolutions with biases, in-place ReLU and max-pooling, then two linear layers on 4x4 cells."""
    return nn.Sequential(
        nn.Conv2d(3, channels, 3, 2, 1),
        nn.BatchNorm2d(channels),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels, 2 * channels, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.AdaptiveAvgPool2d(4),
        nn.Flatten(),
        nn.Linear(2 * channels * 16, 24),
        nn.ReLU(inplace=True),
        nn.Linear(24, CLASSES),
    )


def vit_network():
    """torchvision's transformer with 7x7 patches of 5 pixels."""
    return torchvision.models.VisionTransformer(35, 5, 3, 4, 32, 48, num_classes=CLASSES)


def _randomise(network):
    """Weights and statistics away from their starting values, which hide mistakes.

    A layer norm at its start also gives maps whose mean over the channels is rounding noise around zero.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight)
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


BUILDERS = {"gap": GapNetwork, "vgg": vgg_network, "vit": vit_network}
TARGET_LAYERS = {"gap": "last", "vgg": "4", "vit": None}


@pytest.fixture
def build():
    """From "gap", "vgg" or "vit" to that network, the same random weights each time."""

    def make(name, dtype=torch.float32):
        with torch.random.fork_rng():
            torch.manual_seed(3)
            return _randomise(BUILDERS[name]()).to(dtype)

    return make


@pytest.fixture
def classify(build):
    """From a network's name to its Classifier with a mean and standard deviation of its own."""
    from opticam import Classifier

    def make(name, dtype=torch.float32, **options):
        options = {
            "target_layer": TARGET_LAYERS[name],
            "mean": (0.4, 0.5, 0.6),
            "std": (0.3, 0.2, 0.25),
        } | options
        return Classifier(build(name, dtype), **options)

    return make


@pytest.fixture
def images():
    """Five smooth pictures [5,3,35,35] in [0,1], different from each other."""
    with torch.random.fork_rng():
        torch.manual_seed(11)
        coarse = torch.rand(5, 3, 6, 5)
        fine = torch.rand(5, 3, 35, 35)
    smooth = nn.functional.interpolate(coarse, (35, 35), mode="bilinear")
    return (0.8 * smooth + 0.2 * fine).clamp(0, 1)


@pytest.fixture
def targets():
    return torch.tensor([0, 3, 6, 3, 1])
