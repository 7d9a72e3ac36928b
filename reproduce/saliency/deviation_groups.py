"""Metric groups that measure where the published protocol deviates from the paper's text or its code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from opticam.metrics import average_gain
from opticam.saliency import OptiCAM, SaliencyMethod
from reproduce.saliency.explained_batch import Evaluated

Values = Mapping[str, torch.Tensor]

GAIN_OVER_P = "AG over p"
STOP = "iterations before the stop"
STOPPED = {score: f"{score} stopped" for score in ("AD", "AG", "AI")}
ALIGNED = {score: f"{score} aligned corners" for score in STOPPED}
RECTIFIED = {score: f"{score} rectified features" for score in STOPPED}
OF_PREDICTION = {score: f"{score} of the predicted class's map" for score in ("insertion", "deletion")}
CHECKS = 10
"""How often a run of the authors' code looks at its loss."""


def gain_over_probability(given: Evaluated) -> Values:
    """AG with the denominator p, as eq. 12 of the slides prints it."""
    masked = given.masked_probabilities(given.maps)
    return {GAIN_OVER_P: average_gain(given.view.probabilities, masked, denominator="probability")}


def early_stop(given: Evaluated) -> Values:
    """AD, AG and AI of Opti-CAM where the authors' code would have stopped, and after how many iterations.

    The stop looks at the sum over the batch, so these numbers, and no others, depend on the batch.
    """
    method = given.method()
    if not isinstance(method, OptiCAM):
        raise TypeError(f"method: {type(method).__name__} does not optimise; expected Opti-CAM")
    found = method.optimise(given.batch.images, given.targets)
    stop = stopping_iteration(found.objectives)
    iterations = torch.full((len(given.batch),), stop, dtype=torch.float64)
    maps = method.maps_at(given.batch.images, found.course[stop])
    return {STOP: iterations, **_named(STOPPED, given.masked_scores(maps))}


def aligned_corners(given: Evaluated) -> Values:
    """AD, AG and AI of Score-CAM whose channels are upsampled as the grad-cam package does it."""
    return _scores_of(given, ALIGNED, _with(given, align_corners=True))


def rectified_features(given: Evaluated) -> Values:
    """AD, AG and AI of Opti-CAM whose feature maps are cut at zero, as the authors' code does it everywhere."""
    return _scores_of(given, RECTIFIED, _with(given, relu_features=True))


def causal_of_prediction(given: Evaluated) -> Values:
    """Insertion and deletion of the predicted class on the map of that class, not of the true one."""
    areas = given.causal_of_prediction()
    return {name: areas[score] for score, name in OF_PREDICTION.items()}


def _with(given: Evaluated, **options: object) -> SaliencyMethod:
    """The method of the request, with some other options."""
    changed = replace(given.request, options={**given.request.options, **options})
    return changed.build(given.classifier)


def _scores_of(given: Evaluated, names: Mapping[str, str], method: SaliencyMethod) -> Values:
    """AD, AG and AI of another method's maps, under the names that they have here."""
    return _named(names, given.masked_scores(method(given.batch.images, given.targets)))


def _named(names: Mapping[str, str], scores: Mapping[str, torch.Tensor]) -> Values:
    return {name: scores[score] for score, name in names.items()}


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
