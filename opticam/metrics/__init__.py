"""Measures of a saliency map: faithfulness, causal, localisation, bounding-box study, robustness.

Every metric takes a whole batch and gives one value per image, in percent unless its docstring says otherwise.
A classifier is any callable from images [B, 3, H, W] in [0, 1] to logits [B, C]; maps are [B, H, W] in [0, 1].
"""

from opticam.baselines import centre_map, whole_image_map
from opticam.metrics.box_accuracy import box_accuracy, box_overlaps
from opticam.metrics.box_study import REGIONS, box_study, region_masks
from opticam.metrics.boxes import box_iou, pack_boxes, union_mask
from opticam.metrics.causal import CausalCurve, deletion, insertion, rise_blur, saliency_ranks
from opticam.metrics.faithfulness import (
    average_drop,
    average_gain,
    average_increase,
    faithfulness,
    faithfulness_scores,
    target_probability,
)
from opticam.metrics.legacy_protocol import legacy_union_mask
from opticam.metrics.localization import localization
from opticam.metrics.robustness import adcc, aopc, max_sensitivity
from opticam.metrics.saliency_metric import saliency_metric
from opticam.metrics.sanity import cascading_randomization, map_similarity, randomization_check
from opticam.metrics.uniform_map import uniform_map_scores

__all__ = [
    "REGIONS",
    "CausalCurve",
    "adcc",
    "aopc",
    "average_drop",
    "average_gain",
    "average_increase",
    "box_accuracy",
    "box_iou",
    "box_overlaps",
    "box_study",
    "cascading_randomization",
    "centre_map",
    "deletion",
    "faithfulness",
    "faithfulness_scores",
    "insertion",
    "legacy_union_mask",
    "localization",
    "map_similarity",
    "max_sensitivity",
    "pack_boxes",
    "randomization_check",
    "region_masks",
    "rise_blur",
    "saliency_metric",
    "saliency_ranks",
    "target_probability",
    "uniform_map_scores",
    "union_mask",
    "whole_image_map",
]
