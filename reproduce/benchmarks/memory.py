"""How much memory a call takes at its peak, above what was held before it."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def peak_bytes(call: Callable[[], Iterable[torch.Tensor | None]], device: str) -> int | None:
    """Peak bytes during one call beyond those held before it and those of the tensors that it returns.

    On CUDA the caching allocator counts; on Linux, the resident memory of this process, after the C library has
    handed back what it keeps for reuse. None where the system does not tell.
    """
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        results = call()
        torch.cuda.synchronize()
        return torch.cuda.max_memory_allocated() - before - _bytes_of(results)
    if not RESET.exists():
        return None
    ctypes.CDLL(None).malloc_trim(0)
    RESET.write_text("5")  # the peak becomes the present size
    before = _kilobytes("VmRSS")
    results = call()
    return 1024 * (_kilobytes("VmHWM") - before) - _bytes_of(results)


def _bytes_of(tensors: Iterable[torch.Tensor | None]) -> int:
    return sum(t.numel() * t.element_size() for t in tensors if t is not None)


def _kilobytes(key: str) -> int:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(key))
    return int(line.split()[1])
