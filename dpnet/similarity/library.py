"""The compiled library dpnet._C, which registers the C++ and CUDA operations: is it loaded, what does it hold.

Importing this module loads the library, once, and that registers its operations: what calls one imports it.
"""

from __future__ import annotations

from pathlib import Path

import torch

from opticam import compiled

PACKAGE = Path(__file__).resolve().parents[1]

LOAD_ERROR = compiled.load(PACKAGE)
"""Why the library cannot be used, or "" when it is loaded and its operations are registered."""

HAS_CUDA = not LOAD_ERROR and torch._C._dispatch_has_kernel_for_dispatch_key("dpnet_kernels::forward", "CUDA")
"""Whether the library holds the CUDA kernels."""


def cpu_instructions() -> str:
    """The vector instructions that the C++ loops use here: avx512 (then +vnni), avx2 or baseline."""
    instructions: str = torch.ops.dpnet_kernels.cpu_instructions()
    return instructions


def has_kernel_for(tensor: torch.Tensor) -> bool:
    """Whether the CUDA kernels take this tensor: on a GPU, of every dtype that is accepted but float64."""
    return tensor.is_cuda and tensor.dtype != torch.float64 and HAS_CUDA
