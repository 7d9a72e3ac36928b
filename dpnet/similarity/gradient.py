"""The way back, the same whichever way the forward pass took: what is saved, and what becomes of its gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from dpnet.similarity.backends import IMPLEMENTATIONS, select_backend


def parts_and_regions(
    ctx: Any,
    grad_scores: torch.Tensor | None,
    grad_entropy: torch.Tensor | None,
    backward: Callable[..., tuple[torch.Tensor, torch.Tensor]],
    finish: Callable[..., None],
) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """Gradients of parts [P, d] and of regions [B, R, d], each None where it is not asked for or there is none.

    ctx holds what forward saved: parts, regions, argmax, entropy, log-partition and what else it kept, which may be
    nothing: where ctx.keeps is true the similarities, else the parts' gradient of all entropies; temperature, backend
    and reuse_gradient. backward is the backend's and finish the function below, or both are operations.
    """
    *saved, kept = ctx.saved_tensors
    need_regions = ctx.needs_input_grad[1]
    if ctx.temperature is None:
        grad_entropy = None
    if grad_scores is None and grad_entropy is None:
        return None, None
    upstream = grad_scores, grad_entropy
    if grad_entropy is None or not kept.numel() or (need_regions and not ctx.keeps):
        grads = backward(*upstream, *saved, ctx.temperature, need_regions)
    else:
        own = kept.detach() if ctx.reuse_gradient and _is_last_use(kept) else kept.clone()
        if not ctx.keeps:
            finish(own, *upstream, *saved, ctx.temperature, ctx.backend)
            return own.to(saved[0].dtype), None
        grads = backward(*upstream, *saved, ctx.temperature, need_regions, own)
    return grads[0], grads[1] if need_regions else None


def finish(
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
    implementation = IMPLEMENTATIONS[select_backend(backend, parts, regions, with_entropy=True, trains=True)]
    weight = common_value(grad_entropy)
    if weight is None:
        saved = parts.to(gradient.dtype), regions, argmax, entropy, log_partition
        found, _ = implementation.backward(grad_scores, grad_entropy, *saved, temperature, False)
        gradient.copy_(found)
    elif grad_scores is None:
        gradient.mul_(weight)
    else:
        implementation.join_scores(gradient, weight, grad_scores, parts, regions, argmax)


def common_value(values: torch.Tensor) -> torch.Tensor | None:
    """The value that all have, of shape [], or None where they differ; 0 where there are none.

    Those that a sum sends back are one number in memory; to compare others, a GPU has to be waited for.
    """
    if not values.numel():
        return values.new_zeros(())
    first = values[(0,) * values.dim()]
    if not any(values.stride()):
        return first
    if values.is_cuda and torch.cuda.is_current_stream_capturing():
        return None
    return first if bool((values == first).all()) else None


def _is_last_use(saved: torch.Tensor) -> bool:
    """Whether the backward pass that runs frees the graph, and computes rather than traces."""
    return type(saved) is torch.Tensor and not torch._C._autograd._get_current_graph_task_keep_graph()
