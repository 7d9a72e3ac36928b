"""Weighted ridge regression in closed form, in the shape that Captum's LIME fits."""

from __future__ import annotations

from collections.abc import Iterable

import torch

PENALTY = 1.0


class WeightedRidge:
    """argmin_b sum_i w_i (y_i - b_0 - x_i b)^2 + |b|^2; the intercept b_0 is not penalised."""

    def __init__(self) -> None:
        self.coefficients = torch.zeros(0)

    def fit(
        self, train_data: Iterable[tuple[torch.Tensor, torch.Tensor, torch.Tensor]], **options: object
    ) -> None:
        """Fit batches of features [n,p], targets [n] and weights [n]."""
        inputs, targets, weights = (torch.cat(parts).double() for parts in zip(*train_data))
        share = weights / weights.sum()
        centred = inputs - share @ inputs
        weighted = centred * weights[:, None]
        penalty = PENALTY * torch.eye(inputs.shape[1], dtype=inputs.dtype, device=inputs.device)
        residual = targets - share @ targets
        self.coefficients = torch.linalg.solve(weighted.T @ centred + penalty, weighted.T @ residual)

    def representation(self) -> torch.Tensor:
        """The coefficients b [p] without the intercept, float64."""
        return self.coefficients
