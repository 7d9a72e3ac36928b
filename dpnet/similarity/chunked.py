"""The library's matrix products on a few images at a time, on any device: bounded memory, no compiled code."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from dpnet.similarity import gather
from dpnet.similarity.reductions import add_at_best, assignment, best_region, entropy_slope
from dpnet.similarity.reference import accumulation_dtype, remove_radial, unit_parts

CHUNK_BYTES = 32 * 2**20
"""Similarities held at a time; about what the last cache level of a GPU or a CPU holds."""


def obstacle(device: str, dtype: torch.dtype) -> str:
    """Nothing keeps PyTorch's own operations from running: ""."""
    return ""


def forward(
    parts: torch.Tensor, regions: torch.Tensor, temperature: float | None
) -> tuple[torch.Tensor, ...]:
    """As `reference.forward`, storing at most CHUNK_BYTES of similarities."""
    batch, count = regions.shape[:2]
    scores = regions.new_empty((batch, len(parts)), dtype=accumulation_dtype(regions.dtype))
    argmax = torch.empty_like(scores, dtype=torch.int32)
    shape = (0,) if temperature is None else (batch, count)
    entropy, log_partition = scores.new_empty(shape), scores.new_empty(shape)
    unit = unit_parts(parts)[0].to(regions.dtype)
    for images in chunks(regions, len(parts)):
        product = regions[images] @ unit.T
        scores[images], argmax[images] = best_region(product)
        if temperature is not None:
            entropy[images], log_partition[images] = assignment(product, temperature)
    return scores, argmax, entropy, log_partition


def backward(
    grad_scores: torch.Tensor | None,
    grad_entropy: torch.Tensor | None,
    parts: torch.Tensor,
    regions: torch.Tensor,
    argmax: torch.Tensor,
    entropy: torch.Tensor,
    log_partition: torch.Tensor,
    temperature: float | None,
    need_regions: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `reference.backward`, storing at most CHUNK_BYTES of similarities and as much of their gradient."""
    if grad_scores is not None and grad_entropy is None and gather.is_faster(regions):
        return gather.backward(grad_scores, parts, regions, argmax, need_regions)
    wide, norm = unit_parts(parts)
    unit = wide.to(regions.dtype)
    grad_unit = torch.zeros_like(wide)
    grad_regions = regions.new_empty(regions.shape if need_regions else (0,))
    for images in chunks(regions, len(parts)):
        if grad_entropy is None or temperature is None:
            slope = regions.new_zeros((*regions[images].shape[:2], len(parts)))
        else:
            rows = grad_entropy[images], entropy[images], log_partition[images]
            slope = entropy_slope(regions[images] @ unit.T, *rows, temperature)
        if grad_scores is not None:
            add_at_best(slope, argmax[images], grad_scores[images])
        grad_unit += slope.flatten(0, 1).T @ regions[images].flatten(0, 1)
        if need_regions:
            grad_regions[images] = slope @ unit
    return remove_radial(grad_unit, wide, norm).to(parts.dtype), grad_regions


def chunks(regions: torch.Tensor, parts: int) -> Iterator[slice]:
    """Slices of images whose similarities take at most CHUNK_BYTES, one image at least."""
    step = max(1, CHUNK_BYTES // (regions.shape[1] * parts * regions.element_size()))
    return (slice(first, first + step) for first in range(0, len(regions), step))
