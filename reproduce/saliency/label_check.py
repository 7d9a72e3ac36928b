"""Notice labels that do not go with the network: a network that is right no more often than by guessing."""

from __future__ import annotations

import warnings

from scipy import stats

from reproduce.saliency.explained_batch import View

ENOUGH = 20
"""Pictures below which nothing is said."""


class LabelCheck:
    """Counts a network's right predictions, and warns once where they are as few as guesses would be."""

    def __init__(self, network: str) -> None:
        self.network, self.pictures, self.right, self.said = network, 0, 0, False

    def see(self, view: View) -> None:
        """Add the pictures of a view; a count that 999 of 1000 guessers reach is no better than guessing."""
        self.pictures += len(view.batch)
        self.right += int(view.correct.sum())
        classes = view.logits.shape[1]
        if self.said or classes < 3 or self.pictures < ENOUGH:
            return
        if self.right > stats.binom.ppf(0.999, self.pictures, 1 / classes):
            return
        self.said = True
        warnings.warn(
            f"labels: {self.network} is right on {self.right} of {self.pictures} pictures, as by guessing among "
            f"{classes} classes. Do the class ids count as the network does? ImageNet's networks count the sorted "
            "WordNet ids from 0, the challenge's development kit counts its own order from 1: "
            "`python -m reproduce prepare imagenet` turns one into the other. Or do --mean and --std not fit?",
            stacklevel=2,
        )
