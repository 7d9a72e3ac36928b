"""What of the network's output stands for a class: the selector g_c of Opti-CAM, eq. (10)."""

from __future__ import annotations

from collections.abc import Callable

import torch

from opticam.probability import Probability, log_of

Selector = Callable[[torch.Tensor, torch.Tensor, Probability], torch.Tensor]


def logit(logits: torch.Tensor, ids: torch.Tensor, probabilities: Probability) -> torch.Tensor:
    """y_c, the paper's choice."""
    return _of_class(logits, ids)


def margin(logits: torch.Tensor, ids: torch.Tensor, probabilities: Probability) -> torch.Tensor:
    """y_c minus the largest other logit; ValueError where there is no other."""
    if logits.shape[1] == 1:
        raise ValueError("selector: 'margin' needs another logit to compare with, and the network has one")
    others = logits.scatter(1, ids[:, None], -torch.inf)
    return _of_class(logits, ids) - others.amax(1)


def log_probability(logits: torch.Tensor, ids: torch.Tensor, probabilities: Probability) -> torch.Tensor:
    """log p_c."""
    return _of_class(log_of(probabilities, logits), ids)


def probability(logits: torch.Tensor, ids: torch.Tensor, probabilities: Probability) -> torch.Tensor:
    """p_c."""
    return _of_class(probabilities(logits), ids)


def _of_class(values: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    return values.gather(1, ids[:, None]).squeeze(1)


SELECTORS: dict[str, Selector] = {
    "logit": logit,
    "margin": margin,
    "log-probability": log_probability,
    "probability": probability,
}
"""Functions from logits y [B,C], class ids c [B], and what makes probabilities p of logits, to scores [B]."""
