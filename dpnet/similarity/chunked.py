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

LARGEST = 2.0**12
"""What the largest upstream gradient over τ is brought to, or half of it, before it becomes float16: a dL/dS is at most
about log(P) / 4 times as large, plus that of a score, and 65504 is the largest number of float16."""

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
    terms = max(columns, 512) if regions.dtype == torch.float16 else columns  # as in chunked.cpp
    numbers = columns * regions.shape[0] * regions.shape[1] + (columns + terms) * parts.shape[1]
    return numbers * regions.element_size() <= WORKSPACE


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
    half = regions.dtype == torch.float16
    weight = power_of_two(torch.tensor(1 / temperature, device="cpu")).item() if half else 1.0
    found: tuple[torch.Tensor, ...] = kernel(accumulated(parts), regions, temperature, WORKSPACE, weight)
    if half:
        found[-1].mul_(1 / weight)
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
        return grads[0].to(parts.dtype), grads[1].to(regions.dtype)
    temperature, inverse = 1.0 if temperature is None else temperature, None
    if regions.dtype == torch.float16 and regions.numel():
        sizes = [] if grad_scores is None else [largest_of(grad_scores)]
        sizes += [] if grad_entropy is None else [largest_of(grad_entropy) / temperature]
        scale = power_of_two(torch.stack(sizes).amax())
        grad_scores = None if grad_scores is None else grad_scores * scale
        grad_entropy = None if grad_entropy is None else grad_entropy * scale
        inverse = 1 / scale
    grad_parts, grad_regions = torch.ops.dpnet_kernels.chunked_backward(
        None if grad_scores is None else grad_scores.contiguous(),
        None if grad_entropy is None else grad_entropy.contiguous(),
        accumulated(parts),
        regions,
        argmax,
        entropy,
        log_partition,
        temperature,
        need_regions,
        WORKSPACE,
        None if grad_entropy is None else similarities,
        inverse,
    )
    if inverse is not None:
        grad_parts.mul_(inverse)
    return grad_parts.to(parts.dtype), grad_regions.to(regions.dtype)


def largest_of(gradient: torch.Tensor) -> torch.Tensor:
    """The largest magnitude of all that is finite, of shape []."""
    return gradient.nan_to_num(0, 0, 0).abs().amax()


def power_of_two(largest: torch.Tensor) -> torch.Tensor:
    """What brings a number [] to LARGEST / 2 or above, and below LARGEST, unless it is beyond 2^64 either way.

    A power of two leaves every other bit as it is. Nothing waits for a GPU.
    """
    largest = largest.clamp(2.0**-64, 2.0**64)
    return LARGEST * torch.frexp(largest).mantissa / largest


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
