"""A metric group of the maps of other classes than the true one, all scored against the true class (Table A.9)."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from reproduce.saliency.explained_batch import SCORES, Evaluated

OTHER_CLASSES = "other classes"
"""The group's name."""
CLASSES = {"most probable": 0, "second most probable": 1, "least probable": -1}
"""Place of each class among all by falling logit."""
OF_CLASS = {(score, name): f"{score} of the {name} class's map" for name in CLASSES for score in SCORES}


def faithfulness_of_classes(given: Evaluated) -> Mapping[str, torch.Tensor]:
    """AD, AG and AI of the true class under the maps of each of `CLASSES`."""
    order = given.view.logits.argsort(dim=1, descending=True, stable=True)
    scores = {name: given.masked_scores(given.maps_of(order[:, place])) for name, place in CLASSES.items()}
    return {metric: scores[name][score] for (score, name), metric in OF_CLASS.items()}
