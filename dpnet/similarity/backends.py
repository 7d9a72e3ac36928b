"""Which implementation runs: what is available, why not, and what "auto" takes."""

from __future__ import annotations

import torch

from dpnet.similarity import reference

BACKENDS = ("eager",)
"""Names that `part_similarity` accepts beside "auto"."""

IMPLEMENTATIONS = {"eager": reference}
"""Backend name to the module that holds its `forward` and `backward`."""


def select_backend(
    parts: torch.Tensor, regions: torch.Tensor, temperature: float | None, backend: str
) -> str:
    """The backend that will run these inputs. Raises ValueError for an unknown name."""
    if backend not in (*BACKENDS, "auto"):
        raise ValueError(f"backend must be 'auto' or one of {BACKENDS}, got {backend!r}")
    return "eager" if backend == "auto" else backend


def backend_report() -> list[dict[str, str]]:
    """One row a backend: its name, whether it can run here, and the reason when it cannot."""
    return [{"backend": name, "available": "yes", "reason": ""} for name in BACKENDS]
