"""Which class, or which score, a saliency map explains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from opticam.probability import Probability, softmax
from opticam.saliency.selectors import SELECTORS

Targets = None | int | Sequence[int] | torch.Tensor | Callable[[torch.Tensor], torch.Tensor]
Score = Callable[[torch.Tensor], torch.Tensor]


def class_ids(targets: int | Sequence[int] | torch.Tensor, batch: int, classes: int) -> torch.Tensor:
    """Class ids [B] (int64) from one id for all images or one per image.

    Raises TypeError for anything but integers and ValueError for a wrong count or an id outside [0,C).
    """
    try:
        ids = torch.as_tensor(targets)
    except (TypeError, ValueError, RuntimeError):
        raise TypeError(
            f"targets: expected a class id, one per image, or a function from logits to scores, got {targets!r}"
        ) from None
    if ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool:
        raise TypeError(f"targets: expected integer class ids, got {ids.dtype}")
    if ids.dim() == 0:
        ids = ids.expand(batch)
    if ids.shape != (batch,):
        raise ValueError(f"targets: expected one class id or {batch}, got shape {tuple(ids.shape)}")
    if batch and (int(ids.min()) < 0 or int(ids.max()) >= classes):
        raise ValueError(f"targets: class ids must lie in [0, {classes}), got {ids.tolist()}")
    return ids.long()


@dataclass(frozen=True)
class GivenScore:
    """A user's function from logits [B,C] to scores [B]; ValueError where it gives anything but one number an image."""

    function: Score

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Scores [B] of logits [B,C]."""
        scores = self.function(logits)
        if not isinstance(scores, torch.Tensor) or scores.shape != logits.shape[:1]:
            found = (
                f"shape {tuple(scores.shape)}" if isinstance(scores, torch.Tensor) else type(scores).__name__
            )
            raise ValueError(
                f"targets: the function must give one score an image, [{len(logits)}], got {found}"
            )
        return scores


class PredictedScore:
    """The score of the classes that the first logits predict: those of the images themselves.

    selector, probabilities: as in `ClassScore`.
    """

    def __init__(self, selector: str = "logit", probabilities: Probability = softmax) -> None:
        self._options = selector, probabilities
        self._score: ClassScore | None = None

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Scores [B] of logits [B,C]."""
        if self._score is None:
            self._score = ClassScore(logits.detach().argmax(1), *self._options)
        return self._score(logits)


@dataclass(frozen=True)
class ClassScore:
    """The score g_c: from logits [B,C] to one number [B] for each image's class id.

    ids: [B] int64. selector: a name of `SELECTORS`; "logit" gives y_c. probabilities: what the selectors of
    probabilities make of the logits.
    """

    ids: torch.Tensor
    selector: str = "logit"
    probabilities: Probability = softmax

    def __call__(self, logits: torch.Tensor) -> torch.Tensor:
        """Scores [B] of logits [B,C]."""
        return SELECTORS[self.selector](logits, self.ids, self.probabilities)


def score_variants(score: Score, logits: torch.Tensor) -> torch.Tensor:
    """Scores [B,k] of the logits [B,k,C] of k variants of each image."""
    return torch.stack([score(variant) for variant in logits.unbind(1)], 1)
