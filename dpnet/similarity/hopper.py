"""The CUDA implementation for compute capability 9.0: tensor cores that read shared memory, tiles copied by hardware.

As `cuda` it never stores a similarity.
"""

from __future__ import annotations

import torch

from dpnet.similarity import chunked, cuda, library
from dpnet.similarity.reference import accumulated


def obstacle(device: str, dtype: torch.dtype) -> str:
    """Why the kernel cannot run here on this type of device and dtype, or ""."""
    if reason := cuda.obstacle(device, dtype):
        return reason
    if library.capability() != (9, 0):
        return "the kernel is for compute capability 9.0"
    if not library.has_operation("forward_hopper", "CUDA"):
        return "dpnet._C was built without compute capability 9.0a; build it again with TORCH_CUDA_ARCH_LIST=9.0a"
    return ""


def forward(
    parts: torch.Tensor, regions: torch.Tensor, temperature: float | None
) -> tuple[torch.Tensor, ...]:
    """As `reference.forward`, never storing the similarities."""
    kernel = torch.ops.dpnet_kernels.forward_hopper
    rows = chunked.aligned_rows(regions)
    found: tuple[torch.Tensor, ...] = kernel(accumulated(parts), rows, temperature, cuda.allows_tf32())
    return found


backward = chunked.backward
"""The way back stores nothing of the forward pass: a gather through the argmax, or products, some images each."""
