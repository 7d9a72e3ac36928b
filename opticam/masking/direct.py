"""The short way to the Triton kernels for plain CUDA tensors: no dispatcher, arguments checked once per shape.

The registered operations (ops.py) serve everything else: torch.compile, fake tensors, vmap, float64, the CPU.
Both run the same launches. What this saves is the time of the CPU, which at small batches is all there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from opticam.masking import backends, inputs
from opticam.masking.plain import Memory, differentiable_once, is_plain

_checked = Memory()
"""Whether the short way serves arguments with these facts; all of them were checked."""


@lru_cache(maxsize=1)
def kernels() -> ModuleType:
    """The module that launches Triton's kernels; Triton is imported with it."""
    from opticam.masking.triton import launch

    return launch


def possible(*tensors: Tensor) -> bool:
    """Whether these are plain CUDA tensors, as `is_plain` means it."""
    return is_plain(*tensors) and all([tensor.is_cuda for tensor in tensors])


def served(backend: str, tensors: tuple[Tensor, ...]) -> bool:
    """Whether `backend` means Triton for these tensors; raises where it was asked for and cannot run."""
    chosen = backends.choose(backend, tensors[0].device)
    wide = any(tensor.dtype == torch.float64 for tensor in tensors)
    return chosen != "eager" and not wide and backends.automatic("cuda")[0] == "triton"


def saliency_mask(
    features: Tensor, logits_u: Tensor, images: Tensor, normalization: str, backend: str
) -> tuple[Tensor, Tensor] | None:
    """Masked images and their map, as `api.saliency_mask`; None where the registered operation must serve."""
    if not possible(features, logits_u, images):
        return None
    facts = (
        *(features.shape, features.dtype, features.device),
        *(logits_u.shape, logits_u.dtype, logits_u.device),
        *(images.shape, images.dtype, images.device, normalization, backend),
    )
    serves = _checked.get(facts)
    if serves is None:
        inputs.check_saliency_mask(features, logits_u, images, normalization)
        serves = _checked.remember(facts, served(backend, (images, features, logits_u)))
    if not serves:
        return None
    if logits_u.requires_grad and torch.is_grad_enabled():
        if features.requires_grad or images.requires_grad:  # they count as constants
            features, images = features.detach(), images.detach()
        pair: tuple[Tensor, Tensor] = _SaliencyMask.apply(features, logits_u, images, normalization)
        return pair
    masked, saliency_map, _, _ = kernels().saliency_mask(features, logits_u, images, normalization)
    return masked, saliency_map


class _SaliencyMask(torch.autograd.Function):
    """The forward kernels, and the backward kernels as their gradient in logits_u."""

    @staticmethod
    def forward(
        ctx: Any, features: Tensor, logits_u: Tensor, images: Tensor, normalization: str
    ) -> tuple[Tensor, Tensor]:
        """Masked images and their map."""
        masked, saliency_map, ctx.weights, ctx.surface = kernels().saliency_mask(
            features, logits_u, images, normalization
        )
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(features, images, saliency_map)
        ctx.normalization, ctx.dtype = normalization, logits_u.dtype
        return masked, saliency_map

    @staticmethod
    @differentiable_once
    def backward(
        ctx: Any, grad_masked: Tensor | None, grad_map: Tensor | None
    ) -> tuple[None, Tensor | None, None, None]:
        """dL/du from the gradients of both outputs, either of which may be absent."""
        if grad_masked is None and grad_map is None:
            return None, None, None, None
        saved = *ctx.saved_tensors, ctx.weights, ctx.surface
        gradient = kernels().saliency_mask_backward(grad_masked, grad_map, *saved, ctx.normalization)
        return None, gradient if gradient.dtype is ctx.dtype else gradient.to(ctx.dtype), None, None


def channel_masks(
    features: Tensor, images: Tensor, channels: Tensor | Sequence[int], backend: str
) -> Tensor | None:
    """As `api.channel_masks`, for channels [k] or [B,k] that are on the GPU already; None as above."""
    if not isinstance(channels, Tensor) or not possible(features, images, channels):
        return None
    facts = (
        *(features.shape, features.dtype, features.device, channels.shape, channels.dtype, channels.device),
        *(images.shape, images.dtype, images.device, backend),
    )
    serves = _checked.get(facts)
    if serves is None:
        inputs.check_features(features, images)
        checked = inputs.check_channels(channels, features, images)
        whole = checked.shape == channels.shape and channels.dtype == torch.int64
        serves = _checked.remember(facts, whole and served(backend, (images, features)))
    return kernels().channel_masks(features, images, channels) if serves else None


def step_masks(
    ranks: Tensor, images: Tensor, baseline: Tensor, steps: Tensor | Sequence[int], backend: str
) -> Tensor | None:
    """As `api.step_masks`, for steps that are on the GPU already; None as above."""
    if not isinstance(steps, Tensor) or not possible(ranks, images, baseline, steps):
        return None
    facts = (
        *(ranks.shape, ranks.dtype, ranks.device, baseline.shape, baseline.dtype, baseline.device),
        *(images.shape, images.dtype, images.device, steps.shape, steps.dtype, steps.device, backend),
    )
    serves = _checked.get(facts)
    if serves is None:
        inputs.check_step_masks(ranks, images, baseline)
        checked = inputs.check_steps(steps, images.device)
        serves = _checked.remember(facts, checked.dtype == steps.dtype and served(backend, (images,)))
    return kernels().step_masks(ranks, images, baseline, steps) if serves else None
