"""A frozen backbone by name, from a file that may hold the trunk alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from opticam.classifier import Classifier
from opticam.networks import build_network, pixel_statistics


def load_backbone(
    name: str,
    weights: str | Path | None = "default",
    *,
    target_layer: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Classifier:
    """A torchvision or timm network, or a user's "package.module:function", as a frozen backbone.

    Like `Classifier.from_name`, but it needs no head: the weights file may lack the final linear layer, or hold one
    for another number of classes. DP-Net reads feature maps only, and such a head holds ones. Any other
    difference raises ValueError, a missing file FileNotFoundError.
    target_layer: dotted name, or None for the papers' layer of the family. mean, std: of pixels in [0,1]; None takes
    what the library states for its weights.
    """
    network = build_network(name, weights, without_head=True)
    mean, std = pixel_statistics(name, mean, std)
    return Classifier(network, target_layer, mean=mean, std=std)
