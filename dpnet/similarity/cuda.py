"""The CUDA implementation: tensor-core tiles whose maximum is taken in registers, similarities never stored."""

from __future__ import annotations

import torch

from dpnet.similarity import chunked, library
from dpnet.similarity.reference import accumulated

FUSED_BELOW_DEPTH = 1024
"""From this depth on, a plain product and a reduction are expected to be faster than the tile kernel."""


def obstacle(device: str, dtype: torch.dtype) -> str:
    """Why the kernels cannot run here on this type of device and dtype, or ""."""
    if device != "cuda":
        return f"it runs on cuda, not on {device}"
    float64 = "the kernels do not take float64" if dtype == torch.float64 else ""
    return library.cuda_obstacle() or float64


def is_faster(parts: torch.Tensor, regions: torch.Tensor) -> bool:
    """Whether the kernel is expected to beat `chunked`: a small depth, or float32 accuracy on tensor cores."""
    return parts.shape[1] < FUSED_BELOW_DEPTH or (regions.dtype == torch.float32 and not allows_tf32())


def allows_tf32() -> bool:
    """Whether float32 products may round their factors to TF32, as `torch.matmul` does on this setting."""
    return bool(torch.backends.cuda.matmul.fp32_precision == "tf32")


def forward(
    parts: torch.Tensor, regions: torch.Tensor, temperature: float | None
) -> tuple[torch.Tensor, ...]:
    """As `reference.forward`, never storing the similarities."""
    kernel = torch.ops.dpnet_kernels.forward
    rows = chunked.aligned_rows(regions)
    found: tuple[torch.Tensor, ...] = kernel(accumulated(parts), rows, temperature, allows_tf32())
    return found


backward = chunked.backward
"""The way back stores nothing of the forward pass: a gather through the argmax, or products, some images each."""
