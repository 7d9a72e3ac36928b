"""Localisation as Opti-CAM's Appendix B.1 defines it (eqs. B.1-B.6)."""

from __future__ import annotations

from torch import Tensor

from opticam.metrics.boxes import box_iou, union_mask
from opticam.metrics.components import largest_component_box


def predicted_box(maps: Tensor) -> Tensor:
    """Box B_p [B, 4] of the largest component of S > mean(S); a constant map has none: (0, 0, 0, 0)."""
    flat = maps.flatten(1)
    # The rounded mean of a constant map may lie below its only value.
    varied = flat.amax(1) > flat.amin(1)
    above = maps > flat.mean(1)[:, None, None]
    return largest_component_box(above & varied[:, None, None])


def overlap(predicted: Tensor, boxes: Tensor) -> Tensor:
    """max_B IoU(B, B_p) in [0, 1]: [B]."""
    return box_iou(predicted, boxes).amax(1)


def pixel_f1(maps: Tensor, boxes: Tensor) -> Tensor:
    """F1 = 2PR / (P + R) in [0, 1] with P = Σ_U S / ΣS and R = Σ_U S / |U|: [B]; 0 where both are 0."""
    union = union_mask(boxes, *maps.shape[1:])
    inside = (maps * union).sum((1, 2))
    # 2PR / (P + R) written without the fractions, which an empty map or union would make 0 / 0.
    return _ratio(2 * inside, maps.sum((1, 2)) + union.sum((1, 2)))


def pointing(maps: Tensor, boxes: Tensor) -> Tensor:
    """1[argmax S ∈ U]: [B]; of several maxima the first in raster order points."""
    union = union_mask(boxes, *maps.shape[1:]).flatten(1)
    return union.gather(1, maps.flatten(1).argmax(1, keepdim=True))[:, 0].to(maps.dtype)


def energy(maps: Tensor, boxes: Tensor) -> Tensor:
    """P = Σ_U S / ΣS in [0, 1]: [B]; 0 for a map of zeros."""
    inside = (maps * union_mask(boxes, *maps.shape[1:])).sum((1, 2))
    return _ratio(inside, maps.sum((1, 2)))


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return (part / whole).nan_to_num(0.0)
