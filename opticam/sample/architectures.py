"""Small members of the papers' network families for the sample data, out of torchvision's own classes.

They take normalised pictures of 64 pixels; their target layers follow the paper's choice for the
large members (Opti-CAM, appendix A).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torchvision.models import VisionTransformer
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.models.vgg import VGG, make_layers

from opticam.sample.objects import CLASSES
from opticam.sample.pictures import SAMPLE_SIZE


class NarrowResNet(ResNet):  # type: ignore[misc]  # torchvision has no annotations
    """torchvision's ResNet with a quarter of its channels."""

    def _make_layer(self, block: type[Bottleneck], planes: int, blocks: int, **options: Any) -> nn.Sequential:
        stage: nn.Sequential = super()._make_layer(block, planes // 4, blocks, **options)
        return stage


def _resnet() -> ResNet:
    """Bottleneck ResNet with a 3x3 stem; its last two stages are dilated: 512 maps of 8x8."""
    network = NarrowResNet(
        Bottleneck, [1, 2, 2, 2], num_classes=CLASSES, replace_stride_with_dilation=[False, True, True]
    )
    network.conv1 = nn.Conv2d(3, 64, kernel_size=3, stride=2, padding=1, bias=False)
    nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
    network.fc = nn.Linear(128 * Bottleneck.expansion, CLASSES)
    return network


def _vgg() -> VGG:
    """VGG with batch norm and two fully connected layers: 128 maps of 8x8 before the last max-pool."""
    features = make_layers([16, "M", 32, "M", 64, 64, "M", 128, 128, "M"], batch_norm=True)
    with torch.device("meta"):  # VGG always makes a head of 120 million weights; on meta it takes no memory
        network = VGG(features, num_classes=CLASSES)
    network.avgpool = nn.Identity()
    network.classifier = nn.Sequential(
        nn.Linear(128 * 4 * 4, 128), nn.ReLU(inplace=True), nn.Dropout(0.2), nn.Linear(128, CLASSES)
    )
    return network


def _vit() -> VisionTransformer:
    """Vision transformer: 8x8 patches of 8 pixels, four blocks."""
    return VisionTransformer(
        image_size=SAMPLE_SIZE,
        patch_size=8,
        num_layers=4,
        num_heads=4,
        hidden_dim=96,
        mlp_dim=192,
        num_classes=CLASSES,
    )


BUILDERS: dict[str, Callable[[], nn.Module]] = {
    "sample_resnet": _resnet,
    "sample_vgg": _vgg,
    "sample_vit": _vit,
}


def build_sample_network(name: str) -> nn.Module:
    """Untrained network with random weights; raises ``ValueError`` for an unknown name."""
    if name not in BUILDERS:
        raise ValueError(f"name={name!r} is not one of {', '.join(BUILDERS)}")
    return BUILDERS[name]()
