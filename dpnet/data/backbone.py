"""A frozen backbone by name, from a file that may hold the trunk alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from opticam.classifier import Classifier
from opticam.networks import build_network, pixel_statistics
from opticam.weights import load_weights


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
    """
    if weights in (None, "default"):
        return Classifier.from_name(name, weights, target_layer=target_layer, mean=mean, std=std)
    network = build_network(name, None)
    load_weights(network, weights, without_head=True)
    library_mean, library_std = pixel_statistics(name)
    return Classifier(network, target_layer, mean=mean or library_mean, std=std or library_std)
