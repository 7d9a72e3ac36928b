"""Scores of many variants of each image, in batches of bounded size."""

from __future__ import annotations

from typing import overload

import torch

from opticam.saliency.targets import Score


def score_variants(score: Score, logits: torch.Tensor) -> torch.Tensor:
    """Scores [B,k] of the logits [B,k,C] of k variants of each image."""
    return torch.stack([score(variant) for variant in logits.unbind(1)], 1)


@overload
def check_max_batch(max_batch: int) -> int: ...


@overload
def check_max_batch(max_batch: int | None) -> int | None: ...


def check_max_batch(max_batch: int | None) -> int | None:
    """`max_batch` itself; ValueError unless it is None, or 1 or more."""
    if max_batch is not None and max_batch < 1:
        raise ValueError(f"max_batch: must be 1 or more, got {max_batch}")
    return max_batch
