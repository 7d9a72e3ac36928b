"""What DP-Net's three constraints do when they alone are descended, as the slides print them and as used here."""

from __future__ import annotations

import math

import torch

from dpnet import PartClassifier
from dpnet.model.constraints import assignment, class_specificity, orthogonality, own_class_mask
from dpnet.model.part_layer import in_precision_of
from dpnet.model.regions import normalise_rows
from dpnet.similarity import part_similarity

STEPS = 200
RATE = 0.05


def alignment_after_descent(parts: torch.Tensor, sign: float) -> float:
    """Root mean square cosine of different parts [P,d] after descending sign x C_perp from them.

    0 for orthogonal parts, 1 for parts on one line. The slides print the sign -1.
    """
    free = parts.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([free], lr=RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        (sign * orthogonality(free)).backward()
        optimizer.step()
    count = len(parts)
    unit = normalise_rows(free.detach())
    squares = (unit @ unit.T).square().sum() - count
    return math.sqrt(max(0.0, squares.item()) / (count * (count - 1)))


def assignment_at(
    model: PartClassifier, features: torch.Tensor, temperature: float, reduction: str = "mean"
) -> tuple[float, float]:
    """Entropy of the assignment as a share of its maximum ln P, and the norm of its gradient in the parts.

    features [B,d,h,w]. reduction: over the regions of an image, see `dpnet.model.constraints.assignment`. A mean share
    near 1 means that no region prefers any part, and the constraint cannot act.
    """
    regions = model.regions(features)
    parts = in_precision_of(regions, model.parts.detach()).clone().requires_grad_()
    entropy = part_similarity(parts, regions, temperature=temperature)[2]
    if entropy is None:
        raise ValueError(f"temperature is {temperature}; there is no entropy without one")
    value = assignment(entropy, reduction)
    (gradient,) = torch.autograd.grad(value, [parts])
    return value.item() / math.log(len(parts)), gradient.norm().item()


def mean_cosine(features: torch.Tensor, centre: torch.Tensor | None = None) -> float:
    """Mean cosine of two different cells of feature maps [B,d,h,w], less a centre [d] first if one is given."""
    cells = features.double().permute(0, 2, 3, 1).flatten(0, 2)
    unit = normalise_rows(cells if centre is None else cells - centre.double())
    count = len(unit)
    return ((unit.sum(0).square().sum() - unit.square().sum()) / (count * (count - 1))).item()


def weight_after_descent(weight: torch.Tensor, parts_per_class: int, mode: str) -> float:
    """Mean off-class weight of V [C,P] after descending CS alone from it, in a mode of `class_specificity`."""
    free = weight.detach().clone().requires_grad_()
    optimizer = torch.optim.Adam([free], lr=RATE)
    for _ in range(STEPS):
        optimizer.zero_grad()
        class_specificity(free, parts_per_class, mode).backward()
        optimizer.step()
    return free.detach()[~own_class_mask(len(weight), parts_per_class)].mean().item()
