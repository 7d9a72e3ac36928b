"""What Opti-CAM maximises: how the scores of the masked image, the image and the rest are combined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

Scores = torch.Tensor


@dataclass(frozen=True)
class Objective:
    """F from the scores [B] of the masked image, the image, and the image times one minus the map.

    reads_image, reads_complement: whether `combine` uses them; those it does not use are None.
    """

    combine: Callable[[Scores, Any, Any], Scores]
    reads_image: bool = False
    reads_complement: bool = False


def mask(masked: Scores, image: None, complement: None) -> Scores:
    """F = g(f(x * s)): eq. (10)."""
    return masked


def diff(masked: Scores, image: Scores, complement: None) -> Scores:
    """F = -|g(f(x)) - g(f(x * s))|: eq. (19)."""
    return -(image - masked).abs()


def io_mask(masked: Scores, image: None, complement: Scores) -> Scores:
    """F = g(f(x * s)) - g(f(x * (1 - s))): eq. (F.1)."""
    return masked - complement


def io_diff(masked: Scores, image: Scores, complement: Scores) -> Scores:
    """F = -|g(f(x)) - g(f(x * s))| + |g(f(x)) - g(f(x * (1 - s)))|: eq. (F.2)."""
    return (image - complement).abs() - (image - masked).abs()


OBJECTIVES: dict[str, Objective] = {
    "Mask": Objective(mask),
    "Diff": Objective(diff, reads_image=True),
    "IOMask": Objective(io_mask, reads_complement=True),
    "IODiff": Objective(io_diff, reads_image=True, reads_complement=True),
}
"""The paper's names of the objectives (Table 6 and Table A.12)."""
