"""The registered op `dpnet::part_similarity` and its backward: schema, fake and autograd of all backends."""

from __future__ import annotations

import torch

from dpnet.similarity.backends import IMPLEMENTATIONS, select_backend
from dpnet.similarity.reference import accumulation_dtype


@torch.library.custom_op("dpnet::part_similarity", mutates_args=())
def part_similarity_op(
    parts: torch.Tensor,
    regions: torch.Tensor,
    temperature: float | None,
    backend: str,
    with_gradient: bool = False,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores [B, P], argmax [B, P], entropy [B, R], log-partition [B, R], and the parts' gradient [P, d].

    Entropy and log-partition are empty without τ; the gradient, that of the sum of all entropies, is empty
    unless asked for, and only backends of which `gives_gradient` is true can be asked.
    """
    implementation = IMPLEMENTATIONS[select_backend(backend, parts, regions)]
    if with_gradient:
        return implementation.forward_with_gradient(parts, regions, temperature)
    found = implementation.forward(parts, regions, temperature)
    return *found, found[0].new_empty(0)


@part_similarity_op.register_fake
def _(parts, regions, temperature, backend, with_gradient=False):
    batch, count = regions.shape[:2]
    scores = regions.new_empty((batch, parts.shape[0]), dtype=accumulation_dtype(regions.dtype))
    shape = (0,) if temperature is None else (batch, count)
    gradient = scores.new_empty(parts.shape if with_gradient else (0,))
    return scores, scores.to(torch.int32), scores.new_empty(shape), scores.new_empty(shape), gradient


@torch.library.custom_op("dpnet::part_similarity_backward", mutates_args=())
def part_similarity_backward_op(
    grad_scores: torch.Tensor | None,
    grad_entropy: torch.Tensor | None,
    parts: torch.Tensor,
    regions: torch.Tensor,
    argmax: torch.Tensor,
    entropy: torch.Tensor,
    log_partition: torch.Tensor,
    entropy_gradient: torch.Tensor,
    temperature: float | None,
    need_regions: bool,
    backend: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of parts [P, d] and of regions [B, R, d], the second empty unless asked for.

    entropy_gradient: the last output of the forward pass. It is all that the entropy's part needs where every
    entropy has the same weight, as in a mean; the similarities are computed again otherwise.
    """
    chosen = select_backend(backend, parts, regions)
    weight = None
    if entropy_gradient.numel() and not need_regions:
        weight = _common_value(grad_entropy)
    left = grad_entropy if weight is None else None
    if grad_scores is None and left is None:
        grad_parts, grad_regions = parts.new_zeros(parts.shape), regions.new_empty(0)
    else:
        grad_parts, grad_regions = IMPLEMENTATIONS[chosen].backward(
            grad_scores, left, parts, regions, argmax, entropy, log_partition, temperature, need_regions
        )
    if weight is not None:
        grad_parts = grad_parts.add_(entropy_gradient, alpha=weight)
    return grad_parts, grad_regions


def _common_value(values: torch.Tensor | None) -> float | None:
    """The value that all have, or None."""
    if values is None or not values.numel():
        return None
    first = values.flatten()[0]
    return float(first) if bool((values == first).all()) else None


@part_similarity_backward_op.register_fake
def _(
    grad_scores,
    grad_entropy,
    parts,
    regions,
    argmax,
    entropy,
    log_partition,
    entropy_gradient,
    temperature,
    need_regions,
    backend,
):
    shape = regions.shape if need_regions else (0,)
    return parts.new_empty(parts.shape), regions.new_empty(shape)


def _setup_context(ctx, inputs, output):
    parts, regions, ctx.temperature, ctx.backend, _ = inputs
    _, argmax, entropy, log_partition, entropy_gradient = output
    ctx.mark_non_differentiable(argmax, log_partition, entropy_gradient)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(parts, regions, argmax, entropy, log_partition, entropy_gradient)


def _backward(ctx, grad_scores, grad_argmax, grad_entropy, grad_log_partition, grad_entropy_gradient):
    if ctx.temperature is None:
        grad_entropy = None
    if grad_scores is None and grad_entropy is None:
        return None, None, None, None, None
    need_regions = ctx.needs_input_grad[1]
    grad_parts, grad_regions = part_similarity_backward_op(
        grad_scores, grad_entropy, *ctx.saved_tensors, ctx.temperature, need_regions, ctx.backend
    )
    return grad_parts, grad_regions if need_regions else None, None, None, None


part_similarity_op.register_autograd(_backward, setup_context=_setup_context)
