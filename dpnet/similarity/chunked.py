"""PyTorch's matrix products on some images and parts at a time, each reduced while it is in cache: bounded memory.

What is done to the similarities of a product is C++ on the CPU and one or two kernels on a GPU; the loop over products
is one and the same (`csrc/dpnet/chunked`). Through scores alone the way back needs no product: each part gathers the
regions that it chose.
"""

from __future__ import annotations

import torch

from dpnet.similarity import cpu, library
from dpnet.similarity.reference import accumulated

WORKSPACE = 30 * 2**20
"""Bytes held beyond inputs and results: unit parts and similarities, which are to stay in a GPU's last cache level."""

GATHER_FROM_REGIONS = 118
"""On a GPU, from this R on, R times fewer operations are expected to outweigh what tensor cores do faster."""


def obstacle(device: str, dtype: torch.dtype) -> str:
    """Why it cannot run here on this type of device, or ""; every dtype will do."""
    if device == "cuda":
        return library.cuda_obstacle()
    return library.LOAD_ERROR if device == "cpu" else f"it runs on cpu and cuda, not on {device}"


def forward(
    parts: torch.Tensor, regions: torch.Tensor, temperature: float | None
) -> tuple[torch.Tensor, ...]:
    """As `reference.forward`, storing at most WORKSPACE bytes of similarities."""
    kernel = torch.ops.dpnet_kernels.chunked_forward
    found: tuple[torch.Tensor, ...] = kernel(accumulated(parts), regions, temperature, WORKSPACE)
    return found


def keeps(parts: torch.Tensor, regions: torch.Tensor) -> bool:
    """Whether all similarities fit in the workspace beside unit parts and their gradient: kept for the way back."""
    step = max(1, 16 // regions.element_size())
    columns = -(-len(parts) // step) * step
    rows = regions.shape[0] * regions.shape[1] + 2 * parts.shape[1]
    return columns * rows * regions.element_size() <= WORKSPACE


def forward_keeping(
    parts: torch.Tensor, regions: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, ...]:
    """As `forward`, and the similarities [B R, columns], for `backward`; only where `keeps` is true."""
    kernel = torch.ops.dpnet_kernels.chunked_forward_keeping
    found: tuple[torch.Tensor, ...] = kernel(accumulated(parts), regions, temperature, WORKSPACE)
    return found


def makes_gradient(parts: torch.Tensor, regions: torch.Tensor) -> bool:
    """Whether forward can, and should, make the entropies' gradient: on a GPU where it saves a product.

    There the scores' gradient must be a gather, and all unit parts fit in the workspace.
    """
    whole = 2 * parts.numel() * regions.element_size()
    return not regions.is_cuda or (_gathers(regions) and whole <= 2 * WORKSPACE // 3)


def forward_with_gradient(
    parts: torch.Tensor, regions: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, ...]:
    """As `forward`, and the parts' gradient [P, d] of the sum of all entropies, from the same similarities."""
    kernel = torch.ops.dpnet_kernels.chunked_forward_gradient
    found: tuple[torch.Tensor, ...] = kernel(accumulated(parts), regions, temperature, WORKSPACE)
    return found


def join_scores(
    gradient: torch.Tensor, kept: torch.Tensor, grad_scores: torch.Tensor, *saved: torch.Tensor
) -> None:
    """As `cpu.join_scores`; saved: parts, regions and argmax."""
    join = join_gathered if gradient.is_cuda else cpu.join_scores
    join(gradient, kept, grad_scores, *saved)


def join_gathered(
    gradient: torch.Tensor, kept: torch.Tensor, grad_scores: torch.Tensor, *saved: torch.Tensor
) -> None:
    """As `join_scores`, without waiting for the GPU to know the number."""
    gradient.mul_(kept).add_(_gathered(grad_scores, *saved, need_regions=False)[0])


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
    similarities: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """As `reference.backward`, storing at most WORKSPACE bytes; all unit parts beside where regions need a gradient.

    similarities: what `forward_keeping` kept, which is overwritten.
    """
    if grad_scores is not None and grad_entropy is None and _gathers(regions):
        grads = _gathered(grad_scores, parts, regions, argmax, need_regions=need_regions)
    else:
        grads = torch.ops.dpnet_kernels.chunked_backward(
            None if grad_scores is None else grad_scores.contiguous(),
            None if grad_entropy is None else grad_entropy.contiguous(),
            accumulated(parts),
            regions,
            argmax,
            entropy,
            log_partition,
            1.0 if temperature is None else temperature,
            need_regions,
            WORKSPACE,
            None if grad_entropy is None else similarities,
        )
    return grads[0].to(parts.dtype), grads[1].to(regions.dtype)


def _gathered(
    grad_scores: torch.Tensor,
    parts: torch.Tensor,
    regions: torch.Tensor,
    argmax: torch.Tensor,
    *,
    need_regions: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients through scores alone, in the accumulation dtype and in that of the regions, by gathering."""
    grads: tuple[torch.Tensor, torch.Tensor] = torch.ops.dpnet_kernels.backward_argmax(
        grad_scores.contiguous(), accumulated(parts), aligned_rows(regions), argmax, need_regions
    )
    return grads


def _gathers(regions: torch.Tensor) -> bool:
    """Whether gathering the chosen regions can run and is expected to beat dense products."""
    if not regions.is_cuda:
        return True
    return regions.dtype != torch.float64 and regions.shape[1] >= GATHER_FROM_REGIONS


def aligned_rows(regions: torch.Tensor) -> torch.Tensor:
    """Regions as the CUDA kernels read them, copied where they are not: even rows of whole 16 bytes, none shared."""
    if not regions.is_cuda:
        return regions
    step = 16 // regions.element_size()
    missing = -regions.shape[2] % step
    if missing:
        return torch.nn.functional.pad(regions, (0, missing)).contiguous()
    pitch = regions.stride(1)
    even = regions.stride(0) == pitch * regions.shape[1] and pitch >= regions.shape[2] and pitch % step == 0
    if even and regions.stride(2) == 1 and regions.data_ptr() % 16 == 0:
        return regions
    return regions.clone(memory_format=torch.contiguous_format)
