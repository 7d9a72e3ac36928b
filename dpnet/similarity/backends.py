"""Which implementation runs: what is available, why not, and what "auto" takes."""

from __future__ import annotations

import torch

from dpnet.similarity import chunked, cpu, cuda, hopper, library, reference

IMPLEMENTATIONS = {"eager": reference, "chunked": chunked, "cpp": cpu, "cuda": cuda, "hopper": hopper}
ON_GPU = ("cuda", "hopper")
"""Backend name to the module that holds its `forward` and `backward`, and the `obstacle` to running it."""

BACKENDS = IMPLEMENTATIONS.keys()
"""Names that `part_similarity` accepts beside "auto"; a module added above is among them."""


def select_backend(backend: str, parts: torch.Tensor, regions: torch.Tensor) -> str:
    """The backend that will run these inputs: the one asked for, or the fastest that can.

    Raises RuntimeError where the backend asked for cannot run.
    """
    if backend == "auto":
        return _fastest(parts, regions)
    reason = IMPLEMENTATIONS[backend].obstacle(regions.device.type, regions.dtype)
    if reason:
        raise RuntimeError(f"backend {backend!r} cannot run on these inputs: {reason}")
    return backend


def gives_gradient(backend: str, parts: torch.Tensor, regions: torch.Tensor) -> bool:
    """Whether the backend that will run these inputs can make the entropy's gradient in the forward pass."""
    return hasattr(IMPLEMENTATIONS[select_backend(backend, parts, regions)], "forward_with_gradient")


def backend_report() -> list[dict[str, str]]:
    """One row a backend: its name, "yes" or "no" for whether it can run here, and why not or on what it runs."""
    rows = []
    for name in BACKENDS:
        reason = IMPLEMENTATIONS[name].obstacle("cuda" if name == "cuda" else "cpu", torch.float32)
        detail = reason or (library.cpu_instructions() if name == "cpp" else "")
        rows.append({"backend": name, "available": "no" if reason else "yes", "detail": detail})
    return rows


def _fastest(parts: torch.Tensor, regions: torch.Tensor) -> str:
    where = regions.device.type, regions.dtype
    if not cpu.obstacle(*where) and cpu.is_faster(parts, regions):
        return "cpp"
    if not cuda.obstacle(*where) and cuda.is_faster(parts, regions):
        return "cuda"
    return "eager" if chunked.obstacle(*where) else "chunked"
