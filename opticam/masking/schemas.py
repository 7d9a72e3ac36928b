"""The registered operations: schema, fake, autograd, and an implementation in plain PyTorch for any device.

A backend registers a faster implementation for one device beside it (C++ on CPU, Triton on CUDA).
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.library import Library

from opticam.masking import closed_form, library, reference

LIBRARY = Library("opticam", "DEF")
SCHEMAS = {
    "saliency_mask": "(Tensor features, Tensor logits_u, Tensor images, str normalization)"
    " -> (Tensor masked, Tensor saliency_map, Tensor weights, Tensor surface)",
    "saliency_mask_backward": "(Tensor? grad_masked, Tensor? grad_map, Tensor features, Tensor images,"
    " Tensor saliency_map, Tensor weights, Tensor surface, str normalization) -> Tensor",
    "channel_masks": "(Tensor features, Tensor images, Tensor channels) -> Tensor",
    "step_masks": "(Tensor ranks, Tensor images, Tensor baseline, Tensor steps) -> Tensor",
}
OPERATIONS = tuple(SCHEMAS)
for _name, _schema in SCHEMAS.items():
    LIBRARY.define(_name + _schema)


def layout(images: Tensor) -> torch.memory_format:
    """channels_last for images stored so, else contiguous: the layout of the masked images."""
    last = torch.channels_last
    is_last = images.is_contiguous(memory_format=last) and not images.is_contiguous()
    return last if is_last else torch.contiguous_format


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


LIBRARY.impl("saliency_mask", _saliency_mask, "CompositeExplicitAutograd")
LIBRARY.impl("saliency_mask_backward", closed_form.saliency_mask_backward, "CompositeExplicitAutograd")
LIBRARY.impl("channel_masks", reference.channel_masks, "CompositeExplicitAutograd")
LIBRARY.impl("step_masks", _step_masks, "CompositeExplicitAutograd")


@torch.library.register_fake("opticam::saliency_mask", lib=LIBRARY)
def _(features: Tensor, logits_u: Tensor, images: Tensor, normalization: str) -> tuple[Tensor, ...]:
    dtype = reference.compute_dtype(features, logits_u)
    batch, _, height, width = images.shape
    masked = torch.empty_like(images, memory_format=layout(images))
    saliency_map = images.new_empty(batch, height, width, dtype=dtype)
    weights = logits_u.new_empty(logits_u.shape, dtype=dtype)
    return masked, saliency_map, weights, features.new_empty(batch, *features.shape[2:], dtype=dtype)


@torch.library.register_fake("opticam::saliency_mask_backward", lib=LIBRARY)
def _(grad_masked, grad_map, features, images, saliency_map, weights, surface, normalization):
    return torch.empty_like(weights)


@torch.library.register_fake("opticam::channel_masks", lib=LIBRARY)
def _(features: Tensor, images: Tensor, channels: Tensor) -> Tensor:
    return images.new_empty(images.shape[0], channels.shape[1], *images.shape[1:])


@torch.library.register_fake("opticam::step_masks", lib=LIBRARY)
def _(ranks: Tensor, images: Tensor, baseline: Tensor, steps: Tensor) -> Tensor:
    return images.new_empty(images.shape[0], steps.shape[0], *images.shape[1:])


def _save_for_backward(ctx, inputs, output) -> None:
    features, logits_u, images, normalization = inputs
    _, saliency_map, weights, surface = output
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(weights, surface)
    ctx.save_for_backward(features, images, saliency_map, weights, surface)
    ctx.normalization, ctx.dtype = normalization, logits_u.dtype


def _backward(ctx, grad_masked: Tensor | None, grad_map: Tensor | None, *_) -> tuple[Tensor | None, ...]:
    if grad_masked is None and grad_map is None:
        return None, None, None, None
    grad = torch.ops.opticam.saliency_mask_backward(
        grad_masked, grad_map, *ctx.saved_tensors, ctx.normalization
    )
    return None, grad.to(ctx.dtype), None, None


torch.library.register_autograd(
    "opticam::saliency_mask", _backward, setup_context=_save_for_backward, lib=LIBRARY
)

CPP_REASON = library.load()
"""Why the C++ implementations are missing; "" when they are registered."""
