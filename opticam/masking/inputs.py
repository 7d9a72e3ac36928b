"""What the masking operations accept, checked before any work starts; and how images lie in memory."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from opticam.masking.reference import NORMALIZATIONS

FLOATING = (torch.float32, torch.bfloat16, torch.float16, torch.float64)


def check_saliency_mask(features: Tensor, logits_u: Tensor, images: Tensor, normalization: str) -> None:
    """Raise ValueError or TypeError unless the arguments fit `saliency_mask`."""
    check_features(features, images)
    check_floating("logits_u", logits_u, 2, "[B,K]")
    _same_device("logits_u", logits_u, images)
    expected = (images.shape[0], features.shape[1])
    if tuple(logits_u.shape) != expected:
        raise ValueError(
            f"logits_u has shape {tuple(logits_u.shape)}; features and images ask for {expected}"
        )
    if normalization not in NORMALIZATIONS:
        raise ValueError(f"normalization is {normalization!r}; accepted: {', '.join(NORMALIZATIONS)}")


def check_features(features: Tensor, images: Tensor) -> None:
    """Raise unless features are [B,K,h,w] or [1,K,h,w] for images [B,C,H,W], all on one device."""
    check_floating("images", images, 4, "[B,C,H,W]")
    check_floating("features", features, 4, "[B,K,h,w] or [1,K,h,w]")
    _same_device("features", features, images)
    if not 1 <= images.shape[1] <= 4:
        raise ValueError(f"images have {images.shape[1]} colour channels; accepted: 1 to 4")
    if 0 in images.shape[2:]:
        raise ValueError(f"images have shape {tuple(images.shape)}; height and width must be at least 1")
    if features.shape[0] not in (1, images.shape[0]):
        raise ValueError(f"features are of {features.shape[0]} images; accepted: {images.shape[0]}, or 1")
    if 0 in features.shape[1:]:
        raise ValueError(f"features have shape {tuple(features.shape)}; K, h and w must be at least 1")


def check_channels(channels: Tensor | Sequence[int], features: Tensor, images: Tensor) -> Tensor:
    """Channel numbers as int64 [B,k] on the images' device; raise unless all are in [0, K).

    Numbers already on a GPU are not read back: there, one out of range gives a mask of NaN.
    """
    channels = torch.as_tensor(channels)
    if channels.numel() and (channels.is_floating_point() or channels.dtype == torch.bool):
        raise TypeError(f"channels are {channels.dtype}; accepted: an integer dtype")
    if channels.dim() == 1:
        channels = channels.expand(images.shape[0], -1)
    if channels.dim() != 2 or channels.shape[0] != images.shape[0]:
        raise ValueError(
            f"channels have shape {tuple(channels.shape)}; accepted: [k] or [{images.shape[0]},k]"
        )
    readable = channels.device.type == "cpu" and not torch.compiler.is_compiling()
    if readable and not bool(((channels >= 0) & (channels < features.shape[1])).all()):
        raise ValueError(f"channels must be at least 0 and less than {features.shape[1]}")
    return channels.to(images.device, torch.int64)


def check_step_masks(ranks: Tensor, images: Tensor, baseline: Tensor) -> None:
    """Raise unless ranks are integers [B,H,W] and baseline broadcasts to images in their dtype."""
    check_floating("images", images, 4, "[B,C,H,W]")
    if ranks.is_floating_point() or ranks.dtype == torch.bool:
        raise TypeError(f"ranks are {ranks.dtype}; accepted: an integer dtype")
    expected = (images.shape[0], *images.shape[2:])
    if tuple(ranks.shape) != expected:
        raise ValueError(f"ranks have shape {tuple(ranks.shape)}; images ask for {expected}")
    if baseline.dtype != images.dtype:
        raise TypeError(f"baseline is {baseline.dtype}; accepted: the images' {images.dtype}")
    _same_device("ranks", ranks, images)
    _same_device("baseline", baseline, images)
    try:
        baseline.expand_as(images)
    except RuntimeError:
        raise ValueError(
            f"baseline has shape {tuple(baseline.shape)}; accepted: what broadcasts to {tuple(images.shape)}"
        ) from None


def check_steps(steps: Tensor | Sequence[int], device: torch.device) -> Tensor:
    """Step thresholds as int64 [t] on `device`."""
    steps = torch.as_tensor(steps, device=device)
    if steps.dim() != 1:
        raise ValueError(f"steps have shape {tuple(steps.shape)}; accepted: [t]")
    if steps.numel() and (steps.is_floating_point() or steps.dtype == torch.bool):
        raise TypeError(f"steps are {steps.dtype}; accepted: an integer dtype")
    return steps.long()


def check_floating(name: str, tensor: Tensor, dims: int, shape: str) -> None:
    """Raise unless an argument is a tensor of a supported floating dtype and of `dims` dimensions."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} is a {type(tensor).__name__}; accepted: a tensor {shape}")
    if tensor.dtype not in FLOATING:
        raise TypeError(f"{name} is {tensor.dtype}; accepted: float32, bfloat16, float16, float64")
    if tensor.dim() != dims:
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}; accepted: {shape}")


def layout(images: Tensor) -> torch.memory_format:
    """channels_last for images stored so, else contiguous: the layout of the masked images."""
    last = torch.channels_last
    is_last = images.is_contiguous(memory_format=last) and not images.is_contiguous()
    return last if is_last else torch.contiguous_format


def _same_device(name: str, tensor: Tensor, images: Tensor) -> None:
    if tensor.device != images.device:
        raise ValueError(f"{name} is on {tensor.device}; accepted: the images' device, {images.device}")
