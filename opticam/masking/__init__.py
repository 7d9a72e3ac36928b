"""The fused saliency-masking step: one mathematical step, three operations, three backends."""

from opticam.masking import ops as ops
from opticam.masking.adam import MaskOptimizer
from opticam.masking.api import channel_masks, saliency_mask, step_masks
from opticam.masking.backends import backend_report
from opticam.masking.reference import normalize_map, upsample_and_normalize, upsample_map

__all__ = [
    "MaskOptimizer",
    "backend_report",
    "channel_masks",
    "normalize_map",
    "saliency_mask",
    "step_masks",
    "upsample_and_normalize",
    "upsample_map",
]
