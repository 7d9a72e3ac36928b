"""From logits to the probability of each class, as a network was trained."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn.functional import logsigmoid

Probability = Callable[[torch.Tensor], torch.Tensor]


def softmax(logits: torch.Tensor) -> torch.Tensor:
    """Of networks whose classes exclude each other. Raises ValueError for one logit, whose softmax is always 1."""
    _check_several(logits)
    return logits.softmax(1)


def log_of(probabilities: Probability, logits: torch.Tensor) -> torch.Tensor:
    """The logarithm [B,C] of the probabilities of logits [B,C]; ValueError as for the probabilities themselves.

    Of a softmax and a sigmoid it keeps digits where the probability itself would be 0.
    """
    if probabilities is softmax:
        _check_several(logits)
        return logits.log_softmax(1)
    return logsigmoid(logits) if probabilities is torch.sigmoid else probabilities(logits).log()


def of_targets(
    logits: torch.Tensor, targets: torch.Tensor, probabilities: Probability, *, log: bool = False
) -> torch.Tensor:
    """Probabilities [B], or their logarithms, of class ids [B] from logits [B,C]; at least float32."""
    wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
    values = log_of(probabilities, wide) if log else probabilities(wide)
    return values.gather(1, targets.to(logits.device, torch.int64)[:, None])[:, 0]


def _check_several(logits: torch.Tensor) -> None:
    if logits.shape[1] == 1:
        raise ValueError(
            "probability: the network has one logit, whose softmax is 1 for every image; give "
            "Classifier(probability='sigmoid') if that is what it was trained with"
        )


PROBABILITIES: dict[str, Probability] = {"softmax": softmax, "sigmoid": torch.sigmoid}


def probability_of(given: str | Probability) -> Probability:
    """A function from logits [B,C] to probabilities [B,C], by name or itself.

    Raises ValueError for an unknown name, TypeError for what cannot be called.
    """
    if isinstance(given, str):
        if given not in PROBABILITIES:
            raise ValueError(
                f"probability: expected one of {', '.join(PROBABILITIES)}, or a function; got {given!r}"
            )
        return PROBABILITIES[given]
    if not callable(given):
        raise TypeError(f"probability: expected a name or a function, got {type(given).__name__}")
    return given
