"""The registered op `dpnet::part_similarity` and its backward: schema, fake and autograd of all backends."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch

from dpnet.similarity.backends import IMPLEMENTATIONS, select_backend
from dpnet.similarity.gradient import finish, parts_and_regions
from dpnet.similarity.reference import accumulation_dtype
from opticam.masking.plain import differentiable_once


@torch.library.custom_op("dpnet::part_similarity", mutates_args=())
def part_similarity_op(
    parts: torch.Tensor,
    regions: torch.Tensor,
    temperature: float | None,
    backend: str,
    trains: bool = False,
    with_gradient: bool = False,
    reuse_gradient: bool = False,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores [B, P], argmax [B, P], entropy [B, R], log-partition [B, R], and the parts' gradient [P, d].

    Entropy and log-partition are empty without τ; the gradient, that of the sum of all entropies, is empty
    unless asked for, and only backends of which `gives_gradient` is true can be asked. With reuse_gradient it
    is for the backward pass alone, the last of which writes its result there. trains: whether gradients will be
    asked for, on which "auto" depends.
    """
    chosen = select_backend(backend, parts, regions, with_entropy=temperature is not None, trains=trains)
    implementation = IMPLEMENTATIONS[chosen]
    if with_gradient:
        scores, argmax, entropy, log_partition, gradient = implementation.forward_with_gradient(
            parts, regions, temperature
        )
        return scores, argmax, entropy, log_partition, gradient
    scores, argmax, entropy, log_partition = implementation.forward(parts, regions, temperature)
    return scores, argmax, entropy, log_partition, scores.new_empty(0)


@part_similarity_op.register_fake
def _(
    parts: torch.Tensor,
    regions: torch.Tensor,
    temperature: float | None,
    backend: str,
    trains: bool = False,
    with_gradient: bool = False,
    reuse_gradient: bool = False,
) -> tuple[torch.Tensor, ...]:
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
    temperature: float | None,
    need_regions: bool,
    backend: str,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of parts [P, d] and of regions [B, R, d], the second empty unless asked for."""
    saved = parts, regions, argmax, entropy, log_partition
    chosen = select_backend(backend, parts, regions, with_entropy=temperature is not None, trains=True)
    implementation = IMPLEMENTATIONS[chosen]
    grad_parts, grad_regions = implementation.backward(
        grad_scores, grad_entropy, *saved, temperature, need_regions
    )
    return grad_parts, grad_regions


@part_similarity_backward_op.register_fake
def _(
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
    shape = regions.shape if need_regions else (0,)
    return parts.new_empty(parts.shape), regions.new_empty(shape)


finish_gradient_op = torch.library.custom_op("dpnet::finish_gradient", finish, mutates_args=("gradient",))


@finish_gradient_op.register_fake
def _(*arguments: object) -> None:
    """Nothing is returned."""


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
    parts, regions, ctx.temperature, ctx.backend, _, _, ctx.reuse_gradient = inputs
    _, argmax, entropy, log_partition, entropy_gradient = output
    ctx.mark_non_differentiable(argmax, log_partition, entropy_gradient)
    ctx.set_materialize_grads(False)
    ctx.keeps = False
    ctx.save_for_backward(parts, regions, argmax, entropy, log_partition, entropy_gradient)


@differentiable_once
def _backward(
    ctx: Any,
    grad_scores: torch.Tensor | None,
    grad_argmax: torch.Tensor | None,
    grad_entropy: torch.Tensor | None,
    grad_log_partition: torch.Tensor | None,
    grad_entropy_gradient: torch.Tensor | None,
) -> tuple[torch.Tensor | None, ...]:
    ways = partial(part_similarity_backward_op, backend=ctx.backend), finish_gradient_op
    return *parts_and_regions(ctx, grad_scores, grad_entropy, *ways), None, None, None, None, None


part_similarity_op.register_autograd(_backward, setup_context=_setup_context)
