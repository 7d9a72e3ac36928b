"""From logits to the probability of each class, as a network was trained."""

from __future__ import annotations

from collections.abc import Callable

import torch

Probability = Callable[[torch.Tensor], torch.Tensor]


def softmax(logits: torch.Tensor) -> torch.Tensor:
    """Of networks whose classes exclude each other. Raises ValueError for one logit, whose softmax is always 1."""
    if logits.shape[1] == 1:
        raise ValueError(
            "probability: the network has one logit, whose softmax is 1 for every image; give "
            "Classifier(probability='sigmoid') if that is what it was trained with"
        )
    return logits.softmax(1)


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
