"""The CUDA implementation: tensor-core tiles whose maximum is taken in registers, similarities never stored."""

from __future__ import annotations

import torch

from dpnet.similarity import chunked, library
from dpnet.similarity.reference import accumulated


def obstacle(device: str, dtype: torch.dtype) -> str:
    """Why the kernels cannot run here on this type of device and dtype, or ""."""
    if device != "cuda":
        return f"it runs on cuda, not on {device}"
    float64 = "the kernels do not take float64" if dtype == torch.float64 else ""
    return library.cuda_obstacle() or float64


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
