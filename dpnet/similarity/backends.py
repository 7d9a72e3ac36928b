"""Which implementation runs: what is available, why not, and what "auto" takes."""

from __future__ import annotations

import torch

from dpnet.similarity import chunked, cpp, cuda, library, reference

IMPLEMENTATIONS = {"eager": reference, "chunked": chunked, "cpp": cpp, "cuda": cuda}
"""Backend name to the module that holds its `forward` and `backward`."""

BACKENDS = tuple(IMPLEMENTATIONS)
"""Names that `part_similarity` accepts beside "auto"."""


def select_backend(backend: str, parts: torch.Tensor, regions: torch.Tensor) -> str:
    """The backend that will run these inputs: the one asked for, or the fastest that can.

    Raises RuntimeError where the backend asked for cannot run.
    """
    if backend == "auto":
        return _fastest(parts, regions)
    reason = _obstacle(backend, regions.device.type, regions.dtype)
    if reason:
        raise RuntimeError(f"backend {backend!r} cannot run on these inputs: {reason}")
    return backend


def backend_report() -> list[dict[str, str]]:
    """One row a backend: its name, "yes" or "no" for whether it can run here, and why not or on what it runs."""
    rows = []
    for name in BACKENDS:
        reason = _obstacle(name, name if name == "cuda" else "cpu", torch.float32)
        detail = reason or (library.cpu_instructions() if name == "cpp" else "")
        rows.append({"backend": name, "available": "no" if reason else "yes", "detail": detail})
    return rows


def _fastest(parts: torch.Tensor, regions: torch.Tensor) -> str:
    device = regions.device.type
    if device == "cpu":
        return "chunked" if _obstacle("cpp", device, regions.dtype) else "cpp"
    if device == "cuda" and not _obstacle("cuda", device, regions.dtype) and cuda.is_faster(parts, regions):
        return "cuda"
    return "chunked"


def _obstacle(backend: str, device: str, dtype: torch.dtype) -> str:
    """Why a backend cannot run on a device and dtype, or ""."""
    if backend in ("eager", "chunked"):
        return ""
    wanted = "cpu" if backend == "cpp" else "cuda"
    if device != wanted:
        return f"it runs on {wanted}, not on {device}"
    return cuda.obstacle(dtype) if backend == "cuda" else library.LOAD_ERROR
