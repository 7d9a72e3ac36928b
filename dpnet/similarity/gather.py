"""The way back through the argmax on a GPU: each part gathers the regions that it chose, no product at all."""

from __future__ import annotations

import torch

from dpnet.similarity import library
from dpnet.similarity.reference import accumulated

FASTER_FROM_REGIONS = 118
"""From this R on, R times fewer operations are expected to outweigh what tensor cores do faster."""


def is_faster(regions: torch.Tensor) -> bool:
    """Whether the gather can run on these regions and is expected to beat a dense product."""
    return library.has_kernel_for(regions) and regions.shape[1] >= FASTER_FROM_REGIONS


def backward(
    grad_scores: torch.Tensor,
    parts: torch.Tensor,
    regions: torch.Tensor,
    argmax: torch.Tensor,
    need_regions: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of parts [P, d] and of regions [B, R, d], from that of the scores [B, P]."""
    grad_parts, grad_regions = torch.ops.dpnet_kernels.backward_argmax(
        grad_scores.contiguous(), accumulated(parts), aligned_rows(regions), argmax, need_regions
    )
    return grad_parts.to(parts.dtype), grad_regions


def aligned_rows(regions: torch.Tensor) -> torch.Tensor:
    """Regions as the kernels read them: evenly spaced rows of whole 16 bytes, copied only where they are not."""
    step = 16 // regions.element_size()
    missing = -regions.shape[2] % step
    if missing:
        return torch.nn.functional.pad(regions, (0, missing)).contiguous()
    even = regions.stride(0) == regions.stride(1) * regions.shape[1] and regions.stride(1) % step == 0
    if even and regions.stride(2) == 1 and regions.data_ptr() % 16 == 0:
        return regions
    return regions.clone(memory_format=torch.contiguous_format)
