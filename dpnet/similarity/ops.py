"""The registered op `dpnet::part_similarity` and its backward: schema, fake and autograd of all backends."""

from __future__ import annotations

from typing import Any

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
    reuse_gradient: bool = False,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Scores [B, P], argmax [B, P], entropy [B, R], log-partition [B, R], and the parts' gradient [P, d].

    Entropy and log-partition are empty without τ; the gradient, that of the sum of all entropies, is empty
    unless asked for, and only backends of which `gives_gradient` is true can be asked. With reuse_gradient it
    is for the backward pass alone, the last of which writes its result there.
    """
    implementation = IMPLEMENTATIONS[select_backend(backend, parts, regions)]
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
    grad_parts, grad_regions = IMPLEMENTATIONS[select_backend(backend, parts, regions)].backward(
        grad_scores,
        grad_entropy,
        parts,
        regions,
        argmax,
        entropy,
        log_partition,
        temperature,
        need_regions,
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


@torch.library.custom_op("dpnet::finish_gradient", mutates_args=("gradient",))
def finish_gradient_op(
    gradient: torch.Tensor,
    grad_scores: torch.Tensor | None,
    grad_entropy: torch.Tensor,
    parts: torch.Tensor,
    regions: torch.Tensor,
    argmax: torch.Tensor,
    entropy: torch.Tensor,
    log_partition: torch.Tensor,
    temperature: float,
    backend: str,
) -> None:
    """In place: from the gradient [P, d] of the sum of all entropies to that of the parts.

    The similarities are needed for it only where entropies differ in weight, which those of a mean do not.
    """
    implementation = IMPLEMENTATIONS[select_backend(backend, parts, regions)]
    weight = _common_value(grad_entropy)
    if weight is None:
        found, _ = implementation.backward(
            grad_scores,
            grad_entropy,
            parts.to(gradient.dtype),
            regions,
            argmax,
            entropy,
            log_partition,
            temperature,
            False,
        )
        gradient.copy_(found)
    elif grad_scores is None:
        gradient.mul_(weight)
    else:
        implementation.join_scores(gradient, weight, grad_scores, parts, regions, argmax)


@finish_gradient_op.register_fake
def _(*arguments: object) -> None:
    """Nothing is returned."""


def _common_value(values: torch.Tensor) -> float | None:
    """The value that all have, or None where they differ; 0 where there are none."""
    if not values.numel():
        return 0.0
    first = values.flatten()[0]
    return float(first) if bool((values == first).all()) else None


def _is_last_use(saved: torch.Tensor) -> bool:
    """Whether the backward pass that runs frees the graph, and computes rather than traces."""
    return type(saved) is torch.Tensor and not torch._C._autograd._get_current_graph_task_keep_graph()


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[torch.Tensor, ...]) -> None:
    parts, regions, ctx.temperature, ctx.backend, _, ctx.reuse_gradient = inputs
    _, argmax, entropy, log_partition, entropy_gradient = output
    ctx.mark_non_differentiable(argmax, log_partition, entropy_gradient)
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(parts, regions, argmax, entropy, log_partition, entropy_gradient)


def _backward(
    ctx: Any,
    grad_scores: torch.Tensor | None,
    grad_argmax: torch.Tensor | None,
    grad_entropy: torch.Tensor | None,
    grad_log_partition: torch.Tensor | None,
    grad_entropy_gradient: torch.Tensor | None,
) -> tuple[torch.Tensor | None, ...]:
    *saved, entropy_gradient = ctx.saved_tensors
    need_regions = ctx.needs_input_grad[1]
    grad_parts = grad_regions = None
    if grad_entropy is not None and entropy_gradient.numel() and not need_regions:
        reuse = ctx.reuse_gradient and _is_last_use(entropy_gradient)
        gradient = entropy_gradient.detach() if reuse else entropy_gradient.clone()
        finish_gradient_op(gradient, grad_scores, grad_entropy, *saved, ctx.temperature, ctx.backend)
        grad_parts = gradient.to(saved[0].dtype)
    elif grad_scores is not None or (grad_entropy is not None and ctx.temperature is not None):
        if ctx.temperature is None:
            grad_entropy = None
        grad_parts, grad_regions = part_similarity_backward_op(
            grad_scores, grad_entropy, *saved, ctx.temperature, need_regions, ctx.backend
        )
    return grad_parts, grad_regions if need_regions else None, None, None, None, None


part_similarity_op.register_autograd(_backward, setup_context=_setup_context)
