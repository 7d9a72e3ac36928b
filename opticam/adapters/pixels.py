"""From the tensors that other libraries pass around to the classifier's pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import nn

from opticam.classifier import Classifier


def wrap(
    model: nn.Module,
    layer: nn.Module | str | None,
    reshape: Callable[[torch.Tensor], torch.Tensor] | None,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
    optimize: str,
) -> Classifier:
    """A classifier of raw pixels where mean and std are given, otherwise of the tensors as they come."""
    if (mean is None) != (std is None):
        raise ValueError("mean, std: give both, or neither")
    if mean is None or std is None:
        return Classifier(
            model, layer, reshape=reshape, optimize=optimize, mean=(0.0,), std=(1.0,), pixel_range=None
        )
    return Classifier(model, layer, reshape=reshape, optimize=optimize, mean=mean, std=std)


def pixels_of(tensor: torch.Tensor, classifier: Classifier) -> torch.Tensor:
    """The images that `classifier` normalises to `tensor`, on its device."""
    tensor = tensor.detach().to(classifier.mean.device)
    if classifier.pixel_range is None:
        return tensor
    return (tensor * classifier.std + classifier.mean).clamp(*classifier.pixel_range)  # rounding may leave it
