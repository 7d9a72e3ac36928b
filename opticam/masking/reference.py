"""The definition of the fused step, in plain differentiable PyTorch: every backend is tested against it.

Opti-CAM eq. (8): S(x; u) = sum_k softmax(u)_k A^k, then n(up(S)), then the image times that map (eq. 10).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

NORMALIZATIONS = ("range", "max", "sigmoid")
CONSTANT_ULPS = 16
"""A map whose range is within this many units of rounding of its magnitude counts as constant."""


def compute_dtype(*tensors: Tensor) -> torch.dtype:
    """float64 when any tensor is float64, else float32: the dtype sums are kept in."""
    return torch.float64 if any(t.dtype == torch.float64 for t in tensors) else torch.float32


def combine(features: Tensor, logits_u: Tensor) -> Tensor:
    """Weigh K feature channels by softmax(u) and add them (eq. 8): [B|1,K,h,w], [B,K] -> [B,h,w]."""
    dtype = compute_dtype(features, logits_u)
    weights = torch.softmax(logits_u.to(dtype), dim=1)
    surface = torch.matmul(weights.unsqueeze(1), features.to(dtype).flatten(2))
    return surface.view(logits_u.shape[0], *features.shape[2:])


def upsample_map(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear upsampling with align_corners=False: [B,h,w] -> [B,H,W], same dtype."""
    return F.interpolate(maps.unsqueeze(1), size=tuple(size), mode="bilinear", align_corners=False).squeeze(1)


def normalize_map(maps: Tensor, normalization: str = "range") -> Tensor:
    """Normalise each map [B,H,W] on its own: n(A) of eq. (4) for "range", A / max A for "max", or sigmoid.

    A constant map under "range", and a map whose maximum is 0 under "max", become zeros with zero gradient.
    Where an extreme is reached at several pixels its gradient goes to the first in raster order. NaN spreads
    over its map.
    """
    if normalization == "sigmoid":
        return torch.sigmoid(maps)
    flat = maps.flatten(1)
    high = flat.max(dim=1, keepdim=True).values
    low = flat.min(dim=1, keepdim=True).values if normalization == "range" else torch.zeros_like(high)
    constant = is_constant(low, high, normalization)
    span = torch.where(constant, 1, high - low)
    return torch.where(constant, 0, (flat - low) / span).view_as(maps)


def is_constant(low: Tensor, high: Tensor, normalization: str) -> Tensor:
    """Whether a map with these extremes has nothing to normalise; False for NaN."""
    if normalization == "max":
        return high == 0
    magnitude = torch.maximum(low.abs(), high.abs())
    return high - low <= CONSTANT_ULPS * torch.finfo(high.dtype).eps * magnitude


def upsample_and_normalize(maps: Tensor, size: Sequence[int], normalization: str = "range") -> Tensor:
    """Maps [B,h,w] of any floating dtype -> n(up(maps)) [B,H,W], float32 (float64 from float64).

    Differentiable in `maps`. Used by the methods that come with channel weights of their own (Grad-CAM).
    """
    return normalize_map(upsample_map(maps.to(compute_dtype(maps)), size), normalization)


def saliency_mask(
    features: Tensor, logits_u: Tensor, images: Tensor, normalization: str = "range"
) -> tuple[Tensor, Tensor]:
    """Masked images [B,C,H,W] in the images' dtype and their map [B,H,W] in `compute_dtype`."""
    surface = combine(features, logits_u)
    saliency_map = upsample_and_normalize(surface, images.shape[2:], normalization)
    return (images * saliency_map.unsqueeze(1)).to(images.dtype), saliency_map


def channel_masks(features: Tensor, images: Tensor, channels: Tensor) -> Tensor:
    """One range-normalised mask per channel times the image; channels [B,k] -> [B,k,C,H,W] (Score-CAM)."""
    batch, count = channels.shape
    index = channels[:, :, None, None].expand(-1, -1, *features.shape[2:])
    chosen = features.expand(batch, -1, -1, -1).gather(1, index)
    maps = upsample_and_normalize(chosen.flatten(0, 1), images.shape[2:]).view(
        batch, count, 1, *images.shape[2:]
    )
    return (images.unsqueeze(1) * maps).to(images.dtype)


def step_masks(ranks: Tensor, images: Tensor, baseline: Tensor, steps: Tensor) -> Tensor:
    """out[b, i] = images[b] where ranks[b] < steps[i], else baseline[b]: [B,t,C,H,W]."""
    taken = ranks[:, None, None] < steps[None, :, None, None, None]
    return torch.where(taken, images.unsqueeze(1), baseline.expand_as(images).unsqueeze(1))
