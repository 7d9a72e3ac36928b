"""Localisation as Opti-CAM's Appendix B.1 defines it (eqs. B.1-B.6)."""

from __future__ import annotations

import torch
from torch import Tensor

from opticam.metrics.boxes import box_iou, masked_sum, union_mask
from opticam.metrics.components import component_boxes


def predicted_box(maps: Tensor) -> Tensor:
    """Box B_p [B, 4] of the largest component of S > mean(S); a constant map has none: (0, 0, 0, 0)."""
    flat = maps.flatten(1)
    low, high = flat.aminmax(dim=1)
    # The rounded mean of a constant map may lie below its only value.
    threshold = torch.where(high > low, flat.mean(1), high)
    return component_boxes(maps, threshold[:, None])[:, 0]


def overlap(predicted: Tensor, boxes: Tensor) -> Tensor:
    """max_B IoU(B, B_p) in [0, 1]: [B]."""
    return box_iou(predicted, boxes).amax(1)


def pixel_scores(maps: Tensor, boxes: Tensor) -> dict[str, Tensor]:
    """F1, SP and EP, each [B] in [0, 1], of maps [B, H, W] and their boxes [B, M, 4]; U is the boxes' union.

    F1 = 2PR / (P + R) with P = Σ_U S / ΣS and R = Σ_U S / |U|; EP = P; SP = 1[argmax S ∈ U], where the first of
    several maxima in raster order points. A map of zeros gives 0 for F1 and EP.
    """
    union = union_mask(boxes, *maps.shape[1:])
    inside, whole = masked_sum(maps, union), maps.sum((1, 2))
    peak = maps.flatten(1).argmax(1, keepdim=True)
    return {
        # 2PR / (P + R) without its fractions, which an empty map or union would make 0 / 0.
        "F1": _ratio(2 * inside, whole + union.sum((1, 2))),
        "SP": union.flatten(1).gather(1, peak)[:, 0].to(maps.dtype),
        "EP": _ratio(inside, whole),
    }


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return (part / whole).nan_to_num(0.0)
