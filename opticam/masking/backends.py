"""Which backend runs an operation on a device, and why another does not."""

from __future__ import annotations

import torch

BACKENDS = ("auto", "eager", "cpp", "triton")


def choose(backend: str, device: torch.device) -> str:
    """ "eager" for the reference asked for by name, else "registered": the fastest the dispatcher holds."""
    if backend not in BACKENDS:
        raise ValueError(f"backend is {backend!r}; accepted: {', '.join(BACKENDS)}")
    if backend == "eager":
        return "eager"
    if backend != "auto":
        raise RuntimeError(f"backend {backend!r} cannot run on {device}: it is not built")
    return "registered"
