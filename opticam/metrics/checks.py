"""Checks of what every metric receives, made before any work starts."""

from __future__ import annotations

import torch
from torch import Tensor


def check_images(images: Tensor, name: str = "images") -> None:
    """Raise unless `images` is a float tensor [B, C, H, W]."""
    if not isinstance(images, Tensor) or not images.is_floating_point():
        raise TypeError(f"{name} must be a float tensor [B, C, H, W], got {describe(images)}")
    if images.ndim != 4:
        raise ValueError(f"{name} must have shape [B, C, H, W], got {tuple(images.shape)}")


def check_maps(maps: Tensor, images: Tensor | None = None) -> None:
    """Raise unless `maps` is a finite float tensor [B, H, W], of the batch and size of `images` if given."""
    if not isinstance(maps, Tensor) or not maps.is_floating_point():
        raise TypeError(f"maps must be a float tensor [B, H, W], got {describe(maps)}")
    if maps.ndim != 3:
        raise ValueError(f"maps must have shape [B, H, W], got {tuple(maps.shape)}")
    if 0 in maps.shape[1:]:
        raise ValueError(f"maps must have at least one pixel, got shape {tuple(maps.shape)}")
    if images is not None and maps.shape != (images.shape[0], *images.shape[2:]):
        expected = (images.shape[0], *images.shape[2:])
        raise ValueError(f"maps must have the batch and size of images, {expected}, got {tuple(maps.shape)}")
    if maps.numel() and not torch.stack(maps.aminmax()).isfinite().all():  # NaN and infinity reach the ends
        raise ValueError("maps must be finite, got NaN or infinite values")


def check_unit_maps(maps: Tensor, images: Tensor | None = None) -> None:
    """Raise as `check_maps` does, and unless all values lie in [0, 1]."""
    check_maps(maps, images)
    check_unit_range(maps, "maps must be in [0, 1]")


def at_least_float32(maps: Tensor) -> Tensor:
    """Maps whose pixels can be added up: half precisions round such sums, or overflow."""
    return maps.to(torch.promote_types(maps.dtype, torch.float32))


def check_unit_range(values: Tensor, rule: str) -> None:
    """Raise ValueError, saying the rule, where a value leaves [0, 1] by more than a softmax or an upsampling rounds."""
    slack = torch.finfo(values.dtype).eps ** 0.5
    if ((values < -slack) | (values > 1 + slack)).any():
        low, high = values.amin().item(), values.amax().item()
        raise ValueError(f"{rule}, got values from {low:g} to {high:g}")


def check_targets(targets: Tensor, batch: int) -> None:
    """Raise unless `targets` is an integer tensor [batch] of class ids."""
    if not isinstance(targets, Tensor) or targets.is_floating_point() or targets.dtype == torch.bool:
        raise TypeError(f"targets must be an integer tensor of class ids, got {describe(targets)}")
    if targets.shape != (batch,):
        raise ValueError(
            f"targets must have shape [{batch}], one class per image, got {tuple(targets.shape)}"
        )


def describe(value: object) -> str:
    """Name what was given, for an error message: dtype and shape of a tensor, type of anything else."""
    if isinstance(value, Tensor):
        return f"a tensor of {value.dtype} with shape {tuple(value.shape)}"
    return type(value).__name__
