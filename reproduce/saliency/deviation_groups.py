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
OTHER_CORNERS = {score: f"{score} other corners" for score in SCORES}
OTHER_FEATURES = {score: f"{score} other features" for score in SCORES}
OF_PREDICTION = {score: f"{score} of the predicted class's map" for score in ("insertion", "deletion")}


def gain_over_probability(given: Evaluated) -> Values:
    """AG with the denominator p, as eq. 12 of the slides prints it."""
    masked = given.masked_probabilities(given.maps)
    return {GAIN_OVER_P: average_gain(given.view.probabilities, masked, denominator="probability")}


def other_corners(given: Evaluated) -> Values:
    """AD, AG and AI of Score-CAM with aligned corners, as the grad-cam package; without where the request has them."""
    return _scores_of(given, OTHER_CORNERS, _with_other(given, "align_corners"))


def other_features(given: Evaluated) -> Values:
    """AD, AG and AI of Opti-CAM on rectified feature maps, as the authors' code; as they are where the request does."""
    return _scores_of(given, OTHER_FEATURES, _with_other(given, "relu_features"))


def causal_of_prediction(given: Evaluated) -> Values:
    """Insertion and deletion of the predicted class on the map of that class, not of the true one."""
    return named(OF_PREDICTION, given.causal_of_prediction())


def _with_other(given: Evaluated, option: str) -> SaliencyMethod:
    """The method of the request with the opposite of an option that is off unless the request says otherwise."""
    options = given.request.options
    changed = replace(given.request, options={**options, option: not options.get(option, False)})
    return changed.build(given.classifier)


def _scores_of(given: Evaluated, names: Mapping[str, str], method: SaliencyMethod) -> Values:
    """AD, AG and AI of another method's maps, under the names that they have here."""
    return named(names, given.masked_scores(method(given.batch.images, given.targets)))
