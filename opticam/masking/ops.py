"""The registered operations: schema, fake, autograd, and an implementation in plain PyTorch for any device.

A backend registers a faster implementation for one device beside it (C++ on CPU, Triton on CUDA).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.library import Library

from opticam.masking import closed_form, cpu, cuda, reference
from opticam.masking.inputs import layout
from opticam.masking.plain import differentiable_once

LIBRARY = Library("opticam", "DEF")
SCHEMAS = {
    "saliency_mask": "(Tensor features, Tensor logits_u, Tensor images, str normalization)"
    " -> (Tensor masked, Tensor saliency_map, Tensor weights, Tensor surface)",
    "saliency_mask_backward": "(Tensor? grad_masked, Tensor? grad_map, Tensor features, Tensor images,"
    " Tensor saliency_map, Tensor weights, Tensor surface, str normalization) -> Tensor",
    "saliency_mask_adam_": "(Tensor(a!) logits_u, Tensor(b!) first_moment, Tensor(c!) second_moment,"
    " Tensor iteration, Tensor? grad_masked, Tensor? grad_map, Tensor features, Tensor images,"
    " Tensor saliency_map, Tensor weights, Tensor surface, str normalization, float rate, float beta1,"
    " float beta2, float epsilon) -> ()",
    "channel_masks": "(Tensor features, Tensor images, Tensor channels) -> Tensor",
    "step_masks": "(Tensor ranks, Tensor images, Tensor baseline, Tensor steps) -> Tensor",
}
OPERATIONS = tuple(SCHEMAS)
for _name, _schema in SCHEMAS.items():
    LIBRARY.define(_name + _schema)


def _saliency_mask(
    features: Tensor, logits_u: Tensor, images: Tensor, normalization: str
) -> tuple[Tensor, ...]:
    dtype = reference.compute_dtype(features, logits_u)
    weights = torch.softmax(logits_u.to(dtype), dim=1)
    surface = reference.combine(features, logits_u)
    saliency_map = reference.upsample_and_normalize(surface, images.shape[2:], normalization)
    masked = (images * saliency_map.unsqueeze(1)).to(images.dtype)
    return masked.contiguous(memory_format=layout(images)), saliency_map, weights, surface


def _step_masks(ranks: Tensor, images: Tensor, baseline: Tensor, steps: Tensor) -> Tensor:
    return reference.step_masks(ranks, images, baseline, steps).contiguous()


def _saliency_mask_adam_(
    logits_u: Tensor,
    first_moment: Tensor,
    second_moment: Tensor,
    iteration: Tensor,
    grad_masked: Tensor | None,
    grad_map: Tensor | None,
    features: Tensor,
    images: Tensor,
    saliency_map: Tensor,
    weights: Tensor,
    surface: Tensor,
    normalization: str,
    rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> None:
    """The gradient by whatever implementation the device has, then Adam element by element."""
    saved = (features, images, saliency_map, weights, surface)
    grad = torch.ops.opticam.saliency_mask_backward(grad_masked, grad_map, *saved, normalization)
    first_moment.mul_(beta1).add_(grad, alpha=1 - beta1)
    second_moment.mul_(beta2).addcmul_(grad, grad, value=1 - beta2)
    count = iteration.double()
    corrected = second_moment / (1 - beta2**count).to(grad.dtype)
    step = first_moment / (1 - beta1**count).to(grad.dtype)
    logits_u.sub_(rate * step / (corrected.sqrt_() + epsilon))


IMPLEMENTATIONS: dict[str, Callable[..., Any]] = {
    "saliency_mask": _saliency_mask,
    "saliency_mask_backward": closed_form.saliency_mask_backward,
    "saliency_mask_adam_": _saliency_mask_adam_,
    "channel_masks": reference.channel_masks,
    "step_masks": _step_masks,
}
for _name, _implementation in IMPLEMENTATIONS.items():
    LIBRARY.impl(_name, _implementation, "CompositeExplicitAutograd")
    cuda.register(LIBRARY, _name, _implementation)


@torch.library.register_fake("opticam::saliency_mask", lib=LIBRARY)
def _(features: Tensor, logits_u: Tensor, images: Tensor, normalization: str) -> tuple[Tensor, ...]:
    dtype = reference.compute_dtype(features, logits_u)
    batch, _, height, width = images.shape
    masked = torch.empty_like(images, memory_format=layout(images))
    saliency_map = images.new_empty(batch, height, width, dtype=dtype)
    weights = logits_u.new_empty(logits_u.shape, dtype=dtype)
    return masked, saliency_map, weights, features.new_empty(batch, *features.shape[2:], dtype=dtype)


@torch.library.register_fake("opticam::saliency_mask_backward", lib=LIBRARY)
def _(
    grad_masked: Tensor | None,
    grad_map: Tensor | None,
    features: Tensor,
    images: Tensor,
    saliency_map: Tensor,
    weights: Tensor,
    surface: Tensor,
    normalization: str,
) -> Tensor:
    return torch.empty_like(weights)


@torch.library.register_fake("opticam::channel_masks", lib=LIBRARY)
def _(features: Tensor, images: Tensor, channels: Tensor) -> Tensor:
    return images.new_empty(images.shape[0], channels.shape[1], *images.shape[1:])


@torch.library.register_fake("opticam::step_masks", lib=LIBRARY)
def _(ranks: Tensor, images: Tensor, baseline: Tensor, steps: Tensor) -> Tensor:
    return images.new_empty(images.shape[0], steps.shape[0], *images.shape[1:])


@torch.library.register_fake("opticam::saliency_mask_adam_", lib=LIBRARY)
def _(*arguments: object) -> None:
    return None


def _save_for_backward(
    ctx: Any, inputs: tuple[Tensor, Tensor, Tensor, str], output: tuple[Tensor, ...]
) -> None:
    features, logits_u, images, normalization = inputs
    _, saliency_map, weights, surface = output
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(weights, surface)
    ctx.save_for_backward(features, images, saliency_map, weights, surface)
    ctx.normalization, ctx.dtype = normalization, logits_u.dtype


@differentiable_once
def _backward(
    ctx: Any, grad_masked: Tensor | None, grad_map: Tensor | None, *_: Tensor | None
) -> tuple[Tensor | None, ...]:
    if grad_masked is None and grad_map is None:
        return None, None, None, None
    grad = torch.ops.opticam.saliency_mask_backward(
        grad_masked, grad_map, *ctx.saved_tensors, ctx.normalization
    )
    return None, grad.to(ctx.dtype), None, None


torch.library.register_autograd(
    "opticam::saliency_mask", _backward, setup_context=_save_for_backward, lib=LIBRARY
)

CPP_REASON = cpu.load()
"""Why the C++ implementations are missing; "" when they are registered."""
