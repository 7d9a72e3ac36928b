"""Metric groups that read how maps were made: where Opti-CAM might have ended, and the maps of other classes."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from opticam.saliency import OptiCAM
from reproduce.saliency.explained_batch import SCORES, Evaluated, named

Values = Mapping[str, torch.Tensor]

STOP = "iterations before the stop"
STOPPED = {score: f"{score} stopped" for score in SCORES}
CHECKS = 10
"""How often a run of the authors' code looks at its loss."""
ITERATIONS = (10, 20, 50, 100)
AFTER = {(score, count): f"{score} after {count} iterations" for count in ITERATIONS for score in SCORES}

OTHER_CLASSES = "other classes"
"""The group's name."""
CLASSES = {"most probable": 0, "second most probable": 1, "least probable": -1}
"""Place of each class among all by falling logit."""
OF_CLASS = {(score, name): f"{score} of the {name} class's map" for name in CLASSES for score in SCORES}


def early_stop(given: Evaluated) -> Values:
    """AD, AG and AI of Opti-CAM where the authors' code would have stopped, and after how many iterations.

    The stop looks at the sum over the batch, so these numbers, and no others, depend on the batch.
    """
    stop = stopping_iteration(given.optimisation.objectives)
    iterations = torch.full((len(given.batch),), stop, dtype=torch.float64)
    return {STOP: iterations, **named(STOPPED, _scores_after(given, stop))}


def after_iterations(given: Evaluated) -> Values:
    """AD, AG and AI of Opti-CAM after each of `ITERATIONS`, all of one optimisation."""
    scores = {count: _scores_after(given, count) for count in ITERATIONS}
    return {name: scores[count][score] for (score, count), name in AFTER.items()}


def faithfulness_of_classes(given: Evaluated) -> Values:
    """AD, AG and AI of the true class under the maps of each of `CLASSES` (Table A.9)."""
    order = given.view.logits.argsort(dim=1, descending=True, stable=True)
    scores = {name: given.masked_scores(given.maps_of(order[:, place])) for name, place in CLASSES.items()}
    return {metric: scores[name][score] for (score, name), metric in OF_CLASS.items()}


def _scores_after(given: Evaluated, iterations: int) -> Values:
    method = given.method()
    assert isinstance(method, OptiCAM)  # no other has an optimisation
    return given.masked_scores(method.maps_at(given.batch.images, given.optimisation.course[iterations]))


def stopping_iteration(objectives: torch.Tensor) -> int:
    """The iteration whose map the authors' code returns, from F [T+1,B] before and after each of T iterations.

    Every T/10 iterations it compares the loss, summed over the batch, with that of the last look, and stops
    where it has risen; where it never has, T.
    """
    count = len(objectives) - 1
    every = max(1, count // CHECKS)
    sums = objectives[:count:every].sum(1)
    risen = (sums[1:] < sums[:-1]).nonzero()
    return int(risen[0] + 1) * every if len(risen) else count
