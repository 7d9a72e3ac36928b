"""The three constraints on parts, with the sign and meaning each one needs to do what its name says."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from dpnet.model.regions import normalise_rows

CLASS_SPECIFICITY_MODES: dict[str, Callable[[Tensor], Tensor]] = {
    "signed": lambda v: v,
    "abs": torch.abs,
    "square": torch.square,
    "nonneg": torch.relu,
}


def orthogonality(parts: Tensor) -> Tensor:
    """C_perp: mean squared cosine between different parts, + (1/P^2) sum over i != j of (u_i . u_j)^2.

    Sign: the slides print a minus in front. Descending that form drives all parts onto one line, the opposite
    of its name, so it is minimised here without the minus. Rows of ``parts`` [P,d] are made unit vectors
    first, so their length has no effect. Zero for orthonormal rows, (P-1)/P for identical rows; with P > d
    the least possible value is (P-d)/(d P) (the Welch bound).

    Computed as (||G||_F^2 - P) / P^2 with G the smaller of U^T U and U U^T.
    """
    unit = normalise_rows(parts)
    num_parts, dim = unit.shape
    gram = unit.T @ unit if num_parts > dim else unit @ unit.T
    return (gram.square().sum() - unit.square().sum(dim=1).square().sum()) / num_parts**2


def assignment(entropy: Tensor, reduction: str = "mean") -> Tensor:
    """C_Assign: how undecided the assignment of regions to parts is, in nats.

    ``entropy`` [B,R] is -sum over p of s_pr log s_pr, with s the softmax over the parts of each region at the
    model's temperature. Sign: as printed it is the entropy itself, non-negative; descending it makes the
    assignment decisive. Meaning: the slides say it makes parts cover the diversity of the regions. Decisive
    assignment does not imply coverage (every region may go to one part); `assignment_balance` does.
    ``reduction`` "mean" averages over images and regions so that the value does not grow with R; "sum" adds
    the regions of an image as printed, then averages over images. No images give zero.
    """
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction is {reduction!r}; accepted: mean, sum")
    # The gradient of a sum is one number in memory, so that a GPU need not be asked whether all are equal.
    return entropy.sum() / max(entropy.numel() if reduction == "mean" else len(entropy), 1)


def assignment_balance(similarity: Tensor, temperature: float) -> Tensor:
    """Not in the slides: ln P minus the entropy of the average assignment, 0 when all parts are used equally.

    ``similarity`` is S [B,P,R]; the softmax over parts is averaged over images and regions. Minimising it
    spreads the regions over the parts, which C_Assign alone is said, but fails, to do.
    """
    average = torch.softmax(similarity.float() / temperature, dim=1).mean(dim=(0, 2))
    return math.log(similarity.shape[1]) + torch.xlogy(average, average).sum()


def class_specificity(weight: Tensor, parts_per_class: int, mode: str = "abs") -> Tensor:
    """CS: the average off-class weight of V [C,P], 1/(P(C-1)) sum over classes i and parts j not owned by i.

    Index: the slides' closed interval [q(i-1), q i] holds q + 1 parts; the normaliser P(C-1) counts exactly
    the half-open interval, so a class owns parts q(i-1)+1 .. q i and no other.
    Sign: "signed" is the printed mean of V. It has no lower bound: descending it pushes every off-class
    weight to minus infinity, strong negative evidence instead of class-specific parts. "abs" (the default)
    and "square" penalise the size of off-class weights and have their minimum at zero; "nonneg" penalises
    only positive evidence from foreign parts. Own-class weights never receive a gradient.
    Raises ValueError for an unknown mode, and when P is not parts_per_class * C or there is one class.
    """
    num_classes, num_parts = weight.shape
    if mode not in CLASS_SPECIFICITY_MODES:
        raise ValueError(f"mode is {mode!r}; accepted: {', '.join(CLASS_SPECIFICITY_MODES)}")
    if num_parts != parts_per_class * num_classes or num_classes < 2:
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}; expected [C, {parts_per_class} * C] with C >= 2"
        )
    size = CLASS_SPECIFICITY_MODES[mode]
    return size(weight)[~own_class_mask(num_classes, parts_per_class, weight.device)].mean()


def own_class_mask(num_classes: int, parts_per_class: int, device: torch.device | None = None) -> Tensor:
    """Boolean [C,P]: True where part p is owned by class c."""
    owner = torch.arange(num_classes * parts_per_class, device=device) // parts_per_class
    return owner == torch.arange(num_classes, device=device)[:, None]
