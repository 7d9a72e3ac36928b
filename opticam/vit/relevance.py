"""Layer-wise relevance propagation: rules that carry relevance from a layer's output to its inputs.

Source: Chefer, Gur and Wolf, "Transformer Interpretability Beyond Attention Visualization" (CVPR 2021),
section 3.1, written from its equations. Every rule keeps the sum of the relevance of each image, wherever no
denominator vanishes. Tensors are batched: images first.
"""

from __future__ import annotations

import torch

SMALLEST = 1e-9


def through_linear(relevance: torch.Tensor, inputs: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """From outputs [...,m] to inputs [...,n] of a linear layer [m,n], shared by positive contributions only.

    R_j = sum_i (x_j w_ij)^+ / sum_j' (x_j' w_ij')^+ R_i: eq. (5). The bias takes no part.
    """
    positive, negative = inputs.clamp(min=0), inputs.clamp(max=0)
    excite, inhibit = weight.clamp(min=0), weight.clamp(max=0)
    total = positive @ excite.T + negative @ inhibit.T
    share = divide(relevance, total)
    return positive * (share @ excite) + negative * (share @ inhibit)


def through_product(
    relevance: torch.Tensor, left: torch.Tensor, right: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """From a matrix product [...,n,m] to its factors [...,n,k] and [...,k,m]: eqs. (8) to (10)."""
    share = divide(relevance, left @ right)
    to_left = left * (share @ right.transpose(-2, -1))
    to_right = right * (left.transpose(-2, -1) @ share)
    return balance(relevance, to_left, to_right)


def through_sum(
    relevance: torch.Tensor, left: torch.Tensor, right: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """From a skip connection left + right to both terms: eqs. (8) to (10)."""
    share = divide(relevance, left + right)
    return balance(relevance, left * share, right * share)


def balance(
    relevance: torch.Tensor, left: torch.Tensor, right: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Scale two relevances so that together they carry that of the output, by the size of their sums: eq. (10)."""
    total, of_left, of_right = (_per_image_sum(part) for part in (relevance, left, right))
    size = of_left.abs() + of_right.abs()
    left_factor = divide(of_left.abs(), size) * divide(total, of_left)
    right_factor = divide(of_right.abs(), size) * divide(total, of_right)
    return left * _like(left_factor, left), right * _like(right_factor, right)


def divide(numerator: torch.Tensor, denominator: torch.Tensor) -> torch.Tensor:
    """The quotient with the denominator kept away from zero, and zero where it is zero."""
    away = torch.where(denominator < 0, denominator.clamp(max=-SMALLEST), denominator.clamp(min=SMALLEST))
    return torch.where(denominator == 0, 0, numerator / away)


def _per_image_sum(relevance: torch.Tensor) -> torch.Tensor:
    return relevance.flatten(1).sum(1)


def _like(factor: torch.Tensor, tensor: torch.Tensor) -> torch.Tensor:
    return factor.view(-1, *[1] * (tensor.dim() - 1))
