"""What of the network's output stands for a class: the selector g_c of Opti-CAM, eq. (10)."""

from __future__ import annotations

from collections.abc import Callable

import torch

Selector = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def logit(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """y_c, the paper's choice."""
    return logits.gather(1, ids[:, None]).squeeze(1)


def margin(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """y_c minus the largest other logit."""
    others = logits.scatter(1, ids[:, None], -torch.inf)
    return logit(logits, ids) - others.amax(1)


def log_probability(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """log softmax(y)_c."""
    return logit(logits.log_softmax(1), ids)


def probability(logits: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """softmax(y)_c."""
    return logit(logits.softmax(1), ids)


SELECTORS: dict[str, Selector] = {
    "logit": logit,
    "margin": margin,
    "log-probability": log_probability,
    "probability": probability,
}
"""Functions from logits [B,C] and class ids [B] to scores [B]."""
