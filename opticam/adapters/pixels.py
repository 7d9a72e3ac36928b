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
    """The images that `classifier` normalises to `tensor`, on its device.

    What rounding took out of the range is put back; what lies further out stays, for the classifier's methods to
    refuse: mean and std are not those of `tensor`.
    """
    tensor = tensor.detach().to(classifier.mean.device)
    if classifier.pixel_range is None:
        return tensor
    pixels = tensor * classifier.std + classifier.mean
    inside = pixels.clamp(*classifier.pixel_range)
    rounding = _rounding(tensor.dtype, classifier.std.dtype)
    return torch.where((pixels - inside).abs() <= rounding, inside, pixels)


def _rounding(*dtypes: torch.dtype) -> float:
    """How far a pixel in [0,1] may be off: seven roundings of half an eps, or statistics given to three digits."""
    return max(1e-3, *(4 * torch.finfo(dtype).eps for dtype in dtypes if dtype.is_floating_point))
