"""What part similarity accepts, checked before any work starts."""

from __future__ import annotations

import torch

from dpnet.similarity.backends import BACKENDS
from opticam.masking.inputs import check_floating

TEMPERATURES = torch.finfo(torch.float32).tiny, 1 / torch.finfo(torch.float32).tiny
"""Least and greatest: both they and their inverses, which backends multiply by, are normal float32 numbers."""


def check(parts: torch.Tensor, regions: torch.Tensor, temperature: float | None, backend: str) -> None:
    """Raise TypeError or ValueError unless `part_similarity` takes these arguments."""
    check_tensors(parts, regions)
    check_temperature(temperature)
    if backend not in ("auto", *BACKENDS):
        raise ValueError(f"backend must be 'auto' or one of {', '.join(BACKENDS)}, got {backend!r}")


def check_tensors(parts: torch.Tensor, regions: torch.Tensor) -> None:
    """Raise TypeError or ValueError unless parts are [P, d] and regions [B, R, d] on one device."""
    check_floating("parts", parts, 2, "[P, d]")
    check_floating("regions", regions, 3, "[B, R, d]")
    if (parts.dtype == torch.float64) != (regions.dtype == torch.float64):
        raise TypeError(
            f"parts and regions must both be float64 or neither, got {parts.dtype}, {regions.dtype}"
        )
    if parts.shape[1] != regions.shape[2]:
        raise ValueError(f"parts have d={parts.shape[1]} but regions have d={regions.shape[2]}")
    if 0 in parts.shape or 0 in regions.shape[1:]:
        raise ValueError(
            f"P, R and d must be at least 1, got {tuple(parts.shape)} and {tuple(regions.shape)}"
        )
    if parts.device != regions.device:
        raise ValueError(f"parts are on {parts.device} but regions are on {regions.device}")


def check_temperature(temperature: float | None) -> None:
    """Raise ValueError unless the temperature is None or within TEMPERATURES."""
    least, greatest = TEMPERATURES
    if temperature is not None and not least <= temperature <= greatest:
        raise ValueError(
            f"temperature is {temperature}; accepted: {least:.2g} to {greatest:.2g}, or None for no entropy"
        )
