"""The compiled library dpnet._C, which registers the C++ and CUDA operations: is it loaded, what does it hold.

Importing this module loads the library, once, and that registers its operations: what calls one imports it.
"""

from __future__ import annotations

import re
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
    if capability() < (8, 0):
        return "the kernels need compute capability 8.0 or newer"
    built = compiled.build_facts(PACKAGE).get("architectures") or ""
    if runs_on(built, capability()):
        return ""
    own = ".".join(map(str, capability()))
    return (
        f"dpnet._C was built for {built}, this GPU is {own}; build it again with TORCH_CUDA_ARCH_LIST={own}"
    )


def runs_on(architectures: str, gpu: tuple[int, int]) -> bool:
    """Whether what was built for a TORCH_CUDA_ARCH_LIST, "8.0+PTX;9.0a" say, runs on a GPU of this compute capability.

    Code for a.b runs on a.b and newer a.x, with an "a" on a.b alone, and with PTX on all that is newer. True where the
    list has no numbers.
    """
    found = re.findall(r"(\d+)\.(\d)([af]?)(\+PTX)?", architectures)
    for major, minor, alone, ptx in found:
        built = int(major), int(minor)
        if built == gpu or (not alone and built < gpu and (ptx or built[0] == gpu[0])):
            return True
    return not found


@lru_cache(maxsize=1)
def capability() -> tuple[int, int]:
    """Compute capability of the GPU that is current when it is first asked for; asking CUDA takes microseconds."""
    return torch.cuda.get_device_capability()
