"""Means of per-image scores over a data set, batch by batch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor


class MeanScore(NamedTuple):
    """Mean of a metric over the images where it is defined, and their number."""

    mean: float
    n: int


class ScoreMean:
    """Mean and number of images of each metric; takes what any metric of this package returns.

    Sums are float64. An image with NaN, where a metric is undefined, counts for neither mean nor number.

    >>> scores = ScoreMean()
    >>> scores.update({"AD": torch.tensor([10.0, 30.0])})
    >>> scores.summary()
    {'AD': MeanScore(mean=20.0, n=2)}
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget all scores."""
        self._sums: dict[str, float] = {}
        self._counts: dict[str, int] = {}

    def update(self, scores: Mapping[str, Tensor]) -> None:
        """Add the scores of a batch: one tensor [B] for each metric's name; B may differ between them."""
        for name, values in scores.items():
            values = torch.as_tensor(values, dtype=torch.float64)
            if values.ndim != 1:
                raise ValueError(f"scores[{name!r}] must have shape [B], got {tuple(values.shape)}")
            self._sums[name] = self._sums.get(name, 0.0) + values.nansum().item()
            self._counts[name] = self._counts.get(name, 0) + int((~values.isnan()).sum())

    def merge(self, other: ScoreMean) -> None:
        """Add what another accumulator, of another process, has seen."""
        for name in other._sums:
            self._sums[name] = self._sums.get(name, 0.0) + other._sums[name]
            self._counts[name] = self._counts.get(name, 0) + other._counts[name]

    def summary(self) -> dict[str, MeanScore]:
        """Mean and number of images by metric; the mean of no image is NaN."""
        return {
            name: MeanScore(self._sums[name] / count if count else float("nan"), count)
            for name, count in self._counts.items()
        }
