"""The registered op `dpnet::part_similarity` and its backward: schema, fake and autograd of all backends."""

from __future__ import annotations

import torch

from dpnet.similarity.backends import IMPLEMENTATIONS, select_backend
from dpnet.similarity.reference import accumulation_dtype


@torch.library.custom_op("dpnet::part_similarity", mutates_args=())
def part_similarity_op(
    parts: torch.Tensor, regions: torch.Tensor, temperature: float | None, backend: str
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores [B, P], argmax [B, P], entropy [B, R], log-partition [B, R]; the last two empty without τ."""
    chosen = select_backend(backend, parts, regions)
    return IMPLEMENTATIONS[chosen].forward(parts, regions, temperature)


@part_similarity_op.register_fake
def _(parts, regions, temperature, backend):
    batch, count = regions.shape[:2]
    scores = regions.new_empty((batch, parts.shape[0]), dtype=accumulation_dtype(regions.dtype))
    shape = (0,) if temperature is None else (batch, count)
    return scores, scores.to(torch.int32), scores.new_empty(shape), scores.new_empty(shape)


@torch.library.custom_op("dpnet::part_similarity_backward", mutates_args=())
def part_similarity_backward_op(
    grad_scores: torch.Tensor | None,
    grad_entropy: torch.Tensor | None,
    parts: torch.Tensor,
    regions: torch.Tensor,
    argmax: torch.Tensor,
    entropy: torch.Tensor,
    log_partition: torch.Tensor,
    temperature: float | None,
    need_regions: bool,
    backend: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of parts [P, d] and of regions [B, R, d], the second empty unless asked for."""
    chosen = select_backend(backend, parts, regions)
    return IMPLEMENTATIONS[chosen].backward(
        grad_scores, grad_entropy, parts, regions, argmax, entropy, log_partition, temperature, need_regions
    )


@part_similarity_backward_op.register_fake
def _(
    grad_scores,
    grad_entropy,
    parts,
    regions,
    argmax,
    entropy,
    log_partition,
    temperature,
    need_regions,
    backend,
):
    shape = regions.shape if need_regions else (0,)
    return parts.new_empty(parts.shape), regions.new_empty(shape)


def _setup_context(ctx, inputs, output):
    parts, regions, ctx.temperature, ctx.backend = inputs
    _, argmax, entropy, log_partition = output
    ctx.mark_non_differentiable(argmax, log_partition)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(parts, regions, argmax, entropy, log_partition)


def _backward(ctx, grad_scores, grad_argmax, grad_entropy, grad_log_partition):
    if ctx.temperature is None:
        grad_entropy = None
    if grad_scores is None and grad_entropy is None:
        return None, None, None, None
    need_regions = ctx.needs_input_grad[1]
    grad_parts, grad_regions = part_similarity_backward_op(
        grad_scores, grad_entropy, *ctx.saved_tensors, ctx.temperature, need_regions, ctx.backend
    )
    return grad_parts, grad_regions if need_regions else None, None, None


part_similarity_op.register_autograd(_backward, setup_context=_setup_context)
