"""The compiled library dpnet._C, which registers the C++ and CUDA operations: is it loaded, what does it hold.

Importing this module loads the library, once, and that registers its operations: what calls one imports it.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch

from opticam import compiled

PACKAGE = Path(__file__).resolve().parents[1]

LOAD_ERROR = compiled.load(PACKAGE)
"""Why the library cannot be used, or "" when it is loaded and its operations are registered."""


def cpu_instructions() -> str:
    """The vector instructions that the C++ loops use here: avx512 (then +vnni), avx2 or baseline."""
    instructions: str = torch.ops.dpnet_kernels.cpu_instructions()
    return instructions


def has_operation(name: str, key: str) -> bool:
    """Whether the library holds an operation for a dispatch key, "CUDA" say."""
    return bool(torch._C._dispatch_has_kernel_for_dispatch_key(f"dpnet_kernels::{name}", key))


def cuda_obstacle() -> str:
    """Why no operation of the library can run on a GPU here, or ""."""
    return LOAD_ERROR or _gpu_obstacle()


@lru_cache(maxsize=1)
def _gpu_obstacle() -> str:
    if not has_operation("forward", "CUDA"):
        return "dpnet._C was built without CUDA; build it again with FORCE_CUDA=1"
    if not torch.cuda.is_available():
        return "no CUDA device is available"
    return "" if capability() >= (8, 0) else "the kernels need compute capability 8.0 or newer"


@lru_cache(maxsize=1)
def capability() -> tuple[int, int]:
    """Compute capability of the GPU that is current when it is first asked for; asking CUDA takes microseconds."""
    return torch.cuda.get_device_capability()
