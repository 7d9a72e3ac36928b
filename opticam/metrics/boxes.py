"""Object boxes as tensors: packing, overlap and pixel masks.

A box is (x1, y1, x2, y2) in pixels of the image the map belongs to, x to the right, y down, the end excluded:
(0, 0, W, H) is the whole image. A box covers a pixel when it holds the pixel's centre.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Boxes = Tensor | Sequence[Tensor]


def pack_boxes(boxes: Boxes, batch: int, device: torch.device | str = "cpu") -> Tensor:
    """One float32 tensor [B, M, 4] from the boxes of B images, short images filled up with NaN rows.

    `boxes`: a sequence of B tensors [n, 4], n >= 1, or a tensor [B, M, 4] packed before. Raises `ValueError`
    when the number of images differs from `batch`, an image has no box, or a box ends before it starts.
    """
    if not isinstance(boxes, Tensor):
        boxes = _stack(boxes)
    if boxes.ndim != 3 or boxes.shape[2] != 4:
        raise ValueError(
            f"boxes must be a sequence of [n, 4] or a tensor [B, M, 4], got {tuple(boxes.shape)}"
        )
    if len(boxes) != batch:
        raise ValueError(f"boxes must hold one entry per image, {batch}, got {len(boxes)}")
    boxes = boxes.to(device, torch.float32)
    missing = boxes.isnan().any(2).all(1).nonzero()[:, 0].tolist()
    if missing:
        raise ValueError(f"boxes must hold at least one box per image, got none for images {missing}")
    if (boxes[..., 2:] < boxes[..., :2]).any():
        raise ValueError("boxes must be (x1, y1, x2, y2) with x1 <= x2 and y1 <= y2")
    return boxes


def box_iou(predicted: Tensor, boxes: Tensor) -> Tensor:
    """Intersection over union of one predicted box per image [B, 4] with its boxes [B, M, 4].

    Returns [B, M] in [0, 1]. NaN rows of `boxes` and two boxes without area give 0.
    """
    predicted = predicted[:, None].to(boxes.dtype)
    start = torch.maximum(predicted[..., :2], boxes[..., :2])
    end = torch.minimum(predicted[..., 2:], boxes[..., 2:])
    overlap = (end - start).clamp(min=0).prod(-1)
    union = box_area(predicted) + box_area(boxes) - overlap
    return torch.where(union > 0, overlap / union, 0.0)


def box_area(boxes: Tensor) -> Tensor:
    """Area in square pixels of boxes [..., 4]: [...]."""
    return (boxes[..., 2:] - boxes[..., :2]).prod(-1)


def box_spans(boxes: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Rows [B, M, H] and columns [B, M, W] covered by each box [B, M, 4], as booleans; NaN covers none."""
    rows = torch.arange(height, device=boxes.device) + 0.5
    columns = torch.arange(width, device=boxes.device) + 0.5
    x1, y1, x2, y2 = boxes[..., None].unbind(2)
    return (rows >= y1) & (rows < y2), (columns >= x1) & (columns < x2)


def spans_union(rows: Tensor, columns: Tensor) -> Tensor:
    """Pixels [B, H, W] inside any of M rectangles given by their rows [B, M, H] and columns [B, M, W]."""
    return torch.bmm(rows.float().transpose(1, 2), columns.float()) > 0


def spans_sum(values: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Sum of `values` [B, H, W] inside each of M rectangles: [B, M]."""
    return (torch.bmm(rows.to(values.dtype), values) * columns).sum(2)


def masked_sum(values: Tensor, mask: Tensor) -> Tensor:
    """Sum of `values` [B, H, W] where the bool `mask` [B, H, W] is set: [B]."""
    return torch.where(mask, values, 0.0).sum((1, 2))


def union_mask(boxes: Tensor, height: int, width: int) -> Tensor:
    """The union U of the boxes [B, M, 4] of each image as pixels: bool [B, H, W]."""
    return spans_union(*box_spans(boxes, height, width))


def _stack(boxes: Sequence[Tensor]) -> Tensor:
    if not len(boxes):
        return torch.empty(0, 1, 4)
    tensors = [torch.as_tensor(image, dtype=torch.float32).reshape(-1, 4) for image in boxes]
    return torch.nn.utils.rnn.pad_sequence(tensors, batch_first=True, padding_value=float("nan"))
