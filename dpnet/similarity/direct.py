"""The short way to a backend for plain tensors: no dispatcher between, arguments checked once per shape.

The registered operation (ops.py) serves everything else: torch.compile, fake tensors, vmap. Both run the same
implementations. What this saves is time of the CPU, which at few images or on a GPU may be most of a call.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from dpnet.similarity import gradient
from dpnet.similarity.backends import IMPLEMENTATIONS, keeps_similarities, makes_gradient, select_backend
from dpnet.similarity.inputs import check
from opticam.masking.plain import Memory, differentiable_once

_checked = Memory()


def part_similarity(
    parts: Tensor, regions: Tensor, temperature: float | None, backend: str
) -> tuple[Tensor, Tensor, Tensor | None]:
    """As `api.part_similarity`, errors included."""
    facts = (
        *(parts.shape, parts.dtype, parts.device, regions.shape, regions.dtype, regions.device),
        *(temperature, backend),
    )
    if facts not in _checked:
        check(parts, regions, temperature, backend)
        _checked.remember(facts, True)
    trains = torch.is_grad_enabled() and (parts.requires_grad or regions.requires_grad)
    name = select_backend(backend, parts, regions, with_entropy=temperature is not None, trains=trains)
    if trains:
        scores, argmax, entropy = _PartSimilarity.apply(parts, regions, temperature, name)
    else:
        scores, argmax, entropy, _ = IMPLEMENTATIONS[name].forward(parts, regions, temperature)
    return scores, argmax, None if temperature is None else entropy


class _PartSimilarity(torch.autograd.Function):
    """A backend's forward pass, and its way back."""

    @staticmethod
    def forward(
        ctx: Any, parts: Tensor, regions: Tensor, temperature: float | None, backend: str
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Scores, argmax and entropy, the last empty without τ."""
        implementation = IMPLEMENTATIONS[backend]
        only_parts = ctx.needs_input_grad == (True, False, False, False)
        ctx.keeps = temperature is not None and keeps_similarities(backend, parts, regions)
        if ctx.keeps:
            *found, kept = implementation.forward_keeping(parts, regions, temperature)
        elif temperature is not None and only_parts and makes_gradient(backend, parts, regions):
            *found, kept = implementation.forward_with_gradient(parts, regions, temperature)
        else:
            found, kept = implementation.forward(parts, regions, temperature), parts.new_empty(0)
        scores, argmax, entropy, log_partition = found
        ctx.set_materialize_grads(False)
        ctx.mark_non_differentiable(argmax)
        ctx.save_for_backward(parts, regions, argmax, entropy, log_partition, kept)
        ctx.temperature, ctx.backend, ctx.reuse_gradient = temperature, backend, True
        return scores, argmax, entropy

    @staticmethod
    @differentiable_once
    def backward(
        ctx: Any, grad_scores: Tensor | None, grad_argmax: None, grad_entropy: Tensor | None
    ) -> tuple[Tensor | None, Tensor | None, None, None]:
        """Gradients of parts and regions."""
        ways = IMPLEMENTATIONS[ctx.backend].backward, gradient.finish
        return *gradient.parts_and_regions(ctx, grad_scores, grad_entropy, *ways), None, None
