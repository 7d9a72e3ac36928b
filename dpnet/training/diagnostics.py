"""Signs, after a few epochs, that a training run will not work."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from dpnet.model.part_layer import Model, PartClassifier


@torch.no_grad()
def early_diagnostics(
    model: Model, features: Tensor, losses: list[float], needs_entropy: bool = False
) -> list[str]:
    """Plain sentences, one a problem; an empty list when none is seen.

    ``features`` [B,d,h,w] is a sample of the training features, ``losses`` the mean cross entropy of each
    epoch so far. Looks for: a loss above chance or NaN, a loss that does not fall, parts that collapsed onto each
    other, an assignment entropy that the temperature keeps constant.
    """
    problems = []
    chance = math.log(model.num_classes)
    if not losses[-1] <= chance * 1.05:  # NaN, too
        problems.append(f"the loss {losses[-1]:.3f} is above chance ({chance:.3f}): lower the learning rate")
    elif len(losses) > 1 and losses[-1] > 0.999 * losses[0]:
        problems.append(
            f"the loss does not fall ({losses[0]:.3f} -> {losses[-1]:.3f}): raise the learning rate"
        )
    if isinstance(model, PartClassifier):
        problems += _part_problems(model, features, needs_entropy)
    return problems


def _part_problems(model: PartClassifier, features: Tensor, needs_entropy: bool) -> list[str]:
    problems = []
    unit = model.unit_parts
    cosines = (unit @ unit.T).fill_diagonal_(0.0).amax(dim=1)
    duplicates = (cosines > 0.999).float().mean().item()
    if duplicates > 0.5:
        problems.append(
            f"{duplicates:.0%} of the parts have a copy: use another initialisation or orthogonality"
        )
    entropy = model(features, with_entropy=True).entropy if needs_entropy else None
    ceiling = math.log(len(unit))
    if entropy is not None and ceiling - entropy.mean().item() < 0.001 * ceiling:
        problems.append(
            f"the assignment entropy {entropy.mean().item():.4f} is at its ceiling {ceiling:.4f}: "
            f"the constraint cannot act at temperature {model.temperature}"
        )
    return problems
