"""The public operations: check the arguments, choose a backend, run it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from opticam.masking import backends, direct, inputs, reference
from opticam.masking.plain import refuse_tangent


def saliency_mask(
    features: Tensor,
    logits_u: Tensor,
    images: Tensor,
    normalization: str = "range",
    backend: str = "auto",
) -> tuple[Tensor, Tensor]:
    """Images multiplied by the map n(up(sum_k softmax(u)_k A^k)), and that map (Opti-CAM eq. 8 and 10).

    features [B,K,h,w], or [1,K,h,w] shared by all images; logits_u [B,K]; images [B,C,H,W] of 1 to 4 colours,
    contiguous or channels_last. Dtypes: float32, bfloat16, float16, float64, mixed as you like; sums are kept
    in float32, or float64 where features or logits_u are.
    normalization: "range" (s - min) / (max - min), constant maps becoming zeros; "max" s / max; "sigmoid".
    backend: "auto", "eager", "cpp" (CPU) or "triton" (CUDA).

    Returns masked [B,C,H,W] in the images' dtype and layout, and the map [B,H,W] in float32 (or float64).
    Both are differentiable in logits_u alone: features and images count as constants. Once, backward, but for
    "eager", which autograd differentiates as often and in the mode that is wanted.
    Raises ValueError or TypeError naming the argument that does not fit, RuntimeError with the reason when a
    backend asked for by name cannot run and where a gradient is differentiated again, and NotImplementedError for
    a logits_u with a tangent of forward-mode differentiation.
    """
    served = direct.saliency_mask(features, logits_u, images, normalization, backend)
    if served is not None:
        return served
    inputs.check_saliency_mask(features, logits_u, images, normalization)
    features, images = features.detach(), images.detach()
    if backends.choose(backend, images.device) == "eager":
        return reference.saliency_mask(features, logits_u, images, normalization)
    refuse_tangent("logits_u", logits_u)
    masked, saliency_map, *_ = torch.ops.opticam.saliency_mask(features, logits_u, images, normalization)
    return masked, saliency_map


def channel_masks(
    features: Tensor, images: Tensor, channels: Tensor | Sequence[int], backend: str = "auto"
) -> Tensor:
    """Images multiplied by n(up(A^k)), range normalisation, for each named channel k (Score-CAM).

    features [B,K,h,w] or [1,K,h,w]; images [B,C,H,W]; channels [k], the same for all images, or [B,k].
    Returns [B,k,C,H,W] in the images' dtype; no gradient. A constant channel gives zeros.
    """
    served = direct.channel_masks(features, images, channels, backend)
    if served is not None:
        return served
    inputs.check_features(features, images)
    channels = inputs.check_channels(channels, features, images)
    features, images = features.detach(), images.detach()
    if backends.choose(backend, images.device) == "eager":
        return reference.channel_masks(features, images, channels)
    masked: Tensor = torch.ops.opticam.channel_masks(features, images, channels)
    return masked


def step_masks(
    ranks: Tensor, images: Tensor, baseline: Tensor, steps: Tensor | Sequence[int], backend: str = "auto"
) -> Tensor:
    """Images whose pixels of rank below a step are kept and the others replaced: insertion and deletion.

    out[b, i, :, y, x] = images[b, :, y, x] where ranks[b, y, x] < steps[i], else baseline[b, :, y, x].
    ranks: integers [B,H,W], 0 for the pixel changed first; images [B,C,H,W]; baseline broadcastable to
    images; steps: integers [t]. Insertion takes the sharp images and a blurred baseline; deletion takes the
    substrate (zeros, say) as images and the image itself as baseline. Returns [B,t,C,H,W]; no gradient.
    """
    served = direct.step_masks(ranks, images, baseline, steps, backend)
    if served is not None:
        return served
    inputs.check_step_masks(ranks, images, baseline)
    steps = inputs.check_steps(steps, images.device)
    images, baseline = images.detach(), baseline.detach()
    baseline = baseline[(None,) * (4 - baseline.dim())]
    if backends.choose(backend, images.device) == "eager":
        return reference.step_masks(ranks, images, baseline, steps)
    masked: Tensor = torch.ops.opticam.step_masks(ranks, images, baseline, steps)
    return masked
