"""Metrics that are computed together, by name: what a `Request` may ask for.

Each group takes an `Evaluated` and gives one number per image under each of its names, NaN where a metric is
undefined for an image. Groups that need object boxes are in `reproduce.saliency.box_groups`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch

from opticam.metrics import (
    CausalCurve,
    adcc,
    aopc,
    max_sensitivity,
    randomization_check,
)
from reproduce.saliency.box_groups import (
    BOX,
    BOX_STUDY,
    LOCALIZATION,
    box,
    box_names,
    box_study,
    localization,
)
from reproduce.saliency.course_groups import (
    AFTER,
    OF_CLASS,
    OTHER_CLASSES,
    STOP,
    STOPPED,
    after_iterations,
    early_stop,
    faithfulness_of_classes,
)
from reproduce.saliency.deviation_groups import (
    GAIN_OVER_P,
    OF_PREDICTION,
    OTHER_CORNERS,
    OTHER_FEATURES,
    causal_of_prediction,
    gain_over_probability,
    other_corners,
    other_features,
)
from reproduce.saliency.explained_batch import SCORES, Evaluated
from reproduce.saliency.network_blocks import last_blocks

Values = Mapping[str, torch.Tensor]

CURVE_POINTS = 17
ALPHAS = (0.01, 0.05, 0.1, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0)
"""Exponents of the selectivity study (Opti-CAM, App. F.1)."""
RANDOMISED_BLOCKS = 5
SIMILARITIES = ("spearman", "hog", "ssim")
AOPC_REGIONS = 10
PATCHES_A_SIDE = 16  # the paper's patches of 14 pixels in images of 224


@dataclass(frozen=True)
class MetricGroup:
    """The names of the metrics, in order, how they are computed, and whether they need object boxes, or read more of
    how the maps were made."""

    names: tuple[str, ...]
    compute: Callable[[Evaluated], Values]
    needs_boxes: bool = False
    reads_course: bool = False


def _seconds(given: Evaluated) -> Values:
    return {"seconds": torch.full((len(given.batch),), given.seconds, dtype=torch.float64)}


def _accuracy(given: Evaluated) -> Values:
    """100 where the network's prediction is right; reads no map."""
    return {"accuracy": 100 * given.view.correct.double()}


def _faithfulness(given: Evaluated) -> Values:
    return given.masked_scores(given.maps)


def _causal(given: Evaluated) -> Values:
    return {"insertion": given.insertion.auc, "deletion": given.deletion.auc}


def _grey_deletion(given: Evaluated) -> Values:
    return {"grey deletion": given.grey_deletion.auc}


def _curves(given: Evaluated) -> Values:
    return {**_points("insertion", given.insertion), **_points("deletion", given.deletion)}


def _points(name: str, curve: CausalCurve) -> Values:
    """The curve at `CURVE_POINTS` evenly spaced shares of the pixels, in percent."""
    stages = torch.linspace(0, curve.curve.shape[1] - 1, CURVE_POINTS).round().long()
    return {f"{name} {point}": 100 * curve.curve[:, stage] for point, stage in enumerate(stages.tolist())}


def _robustness(given: Evaluated) -> Values:
    """AOPC and MS of the explained class; ADCC of the predicted one, as its definition asks for."""
    batch, method = given.batch, given.method()
    targets = given.targets
    patch = max(1, batch.images.shape[-1] // PATCHES_A_SIDE)
    return {
        "AOPC": aopc(given.classifier, batch.images, given.maps, targets, patch=patch, regions=AOPC_REGIONS),
        "MS": max_sensitivity(method, batch.images, given.maps, targets),
        **adcc(given.classifier, method, batch.images, given.predicted_maps, given.view.predicted),
    }


def _selectivity(given: Evaluated) -> Values:
    """AD, AG and AI of the maps raised to each of `ALPHAS`."""
    return {
        f"{name} {alpha:g}": column
        for alpha in ALPHAS
        for name, column in given.masked_scores(given.maps**alpha).items()
    }


def _sanity(given: Evaluated) -> Values:
    """Similarity to the maps after each of the network's last blocks is randomised, on top of the others."""
    blocks = [f"network.{block}" for block in last_blocks(given.classifier.network, RANDOMISED_BLOCKS)]
    found = randomization_check(
        given.request.build, given.classifier, given.batch.images, given.targets, blocks, maps=given.maps
    )
    return {
        f"{name} {step}": column
        for step, similarities in enumerate(found.values(), start=1)
        for name, column in similarities.items()
    }


def _numbered(names: tuple[str, ...], numbers: range) -> tuple[str, ...]:
    return tuple(f"{name} {number}" for name in names for number in numbers)


GROUPS: dict[str, MetricGroup] = {
    "seconds": MetricGroup(("seconds",), _seconds),
    "accuracy": MetricGroup(("accuracy",), _accuracy),
    "faithfulness": MetricGroup(SCORES, _faithfulness),
    OTHER_CLASSES: MetricGroup(tuple(OF_CLASS.values()), faithfulness_of_classes, reads_course=True),
    "causal": MetricGroup(("insertion", "deletion"), _causal),
    "grey deletion": MetricGroup(("grey deletion",), _grey_deletion),
    "curves": MetricGroup(_numbered(("insertion", "deletion"), range(CURVE_POINTS)), _curves),
    "localization": MetricGroup(box_names(LOCALIZATION), localization, needs_boxes=True),
    "box study": MetricGroup(box_names(BOX_STUDY), box_study, needs_boxes=True),
    "box": MetricGroup(box_names(BOX), box, needs_boxes=True),
    "robustness": MetricGroup(("AOPC", "MS", "ADCC", "coherency", "complexity"), _robustness),
    "selectivity": MetricGroup(
        tuple(f"{name} {alpha:g}" for alpha in ALPHAS for name in SCORES), _selectivity
    ),
    "gain over p": MetricGroup((GAIN_OVER_P,), gain_over_probability),
    "early stop": MetricGroup((STOP, *STOPPED.values()), early_stop, reads_course=True),
    "after iterations": MetricGroup(tuple(AFTER.values()), after_iterations, reads_course=True),
    "other corners": MetricGroup(tuple(OTHER_CORNERS.values()), other_corners),
    "other features": MetricGroup(tuple(OTHER_FEATURES.values()), other_features),
    "causal of prediction": MetricGroup(tuple(OF_PREDICTION.values()), causal_of_prediction),
    "sanity": MetricGroup(_numbered(SIMILARITIES, range(1, RANDOMISED_BLOCKS + 1)), _sanity),
}
