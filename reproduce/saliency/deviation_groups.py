"""Metric groups that measure where the published protocol deviates from the paper's text or its code."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from opticam.metrics import average_gain
from opticam.saliency import SaliencyMethod
from reproduce.saliency.explained_batch import SCORES, Evaluated, named

Values = Mapping[str, torch.Tensor]

GAIN_OVER_P = "AG over p"
ALIGNED = {score: f"{score} aligned corners" for score in SCORES}
RECTIFIED = {score: f"{score} rectified features" for score in SCORES}
OF_PREDICTION = {score: f"{score} of the predicted class's map" for score in ("insertion", "deletion")}


def gain_over_probability(given: Evaluated) -> Values:
    """AG with the denominator p, as eq. 12 of the slides prints it."""
    masked = given.masked_probabilities(given.maps)
    return {GAIN_OVER_P: average_gain(given.view.probabilities, masked, denominator="probability")}


def aligned_corners(given: Evaluated) -> Values:
    """AD, AG and AI of Score-CAM whose channels are upsampled as the grad-cam package does it."""
    return _scores_of(given, ALIGNED, _with(given, align_corners=True))


def rectified_features(given: Evaluated) -> Values:
    """AD, AG and AI of Opti-CAM whose feature maps are cut at zero, as the authors' code does it everywhere."""
    return _scores_of(given, RECTIFIED, _with(given, relu_features=True))


def causal_of_prediction(given: Evaluated) -> Values:
    """Insertion and deletion of the predicted class on the map of that class, not of the true one."""
    return named(OF_PREDICTION, given.causal_of_prediction())


def _with(given: Evaluated, **options: object) -> SaliencyMethod:
    """The method of the request, with some other options."""
    changed = replace(given.request, options={**given.request.options, **options})
    return changed.build(given.classifier)


def _scores_of(given: Evaluated, names: Mapping[str, str], method: SaliencyMethod) -> Values:
    """AD, AG and AI of another method's maps, under the names that they have here."""
    return named(names, given.masked_scores(method(given.batch.images, given.targets)))
