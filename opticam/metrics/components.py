"""The box around the largest connected component of a map above a threshold, for a whole batch.

Two pixels are connected when they share a side. Of several components of one size the first in raster order
counts, as in the authors' code, so the result does not depend on the batch or on the number of threads.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from opticam.masking import ops as ops  # loads the compiled library, where there is one


def component_boxes(maps: Tensor, thresholds: Tensor) -> Tensor:
    """Box of the largest 4-connected component of S > η, for every threshold η of each map.

    `maps` S [B, H, W] and `thresholds` [B, T], rising in each row, any float dtype and device. Returns int64
    [B, T, 4] on the device of `maps`: (x1, y1, x2, y2) with the end excluded, (0, 0, 0, 0) where no pixel is above.
    Runs on the CPU: one sweep over the sorted pixels in C++ serves all thresholds; without the compiled library,
    `scipy.ndimage` labels the map once a threshold.
    """
    dtype = torch.promote_types(maps.dtype, torch.float32)
    arguments = (tensor.detach().to("cpu", dtype) for tensor in (maps, thresholds))
    sweep = getattr(torch.ops.opticam, "component_boxes", None)
    return (sweep or labelled_boxes)(*arguments).to(maps.device)


def labelled_boxes(maps: Tensor, thresholds: Tensor) -> Tensor:
    """`component_boxes` of CPU tensors by `scipy.ndimage`, one labelling a map and threshold."""
    masks = maps[:, None].numpy() > thresholds[:, :, None, None].numpy()
    arrays = masks.reshape(-1, *maps.shape[1:])
    chunks = np.array_split(arrays, min(torch.get_num_threads(), max(1, len(arrays))))
    with ThreadPoolExecutor(len(chunks)) as threads:  # scipy releases the interpreter lock while it labels
        boxes = np.concatenate(list(threads.map(_boxes, chunks)))
    return torch.from_numpy(boxes).view(*thresholds.shape, 4)


def _boxes(masks: np.ndarray) -> np.ndarray:
    return np.array([_box(mask) for mask in masks], dtype=np.int64).reshape(-1, 4)


def _box(mask: np.ndarray) -> tuple[int, int, int, int]:
    if not mask.any():
        return 0, 0, 0, 0
    x1, y1, x2, y2 = _bounds(mask)
    labels, count = ndimage.label(mask[y1:y2, x1:x2])  # sides only, no corners
    if count == 1:
        return x1, y1, x2, y2
    largest = 1 + np.bincount(labels.ravel())[1:].argmax()
    left, top, right, bottom = _bounds(labels == largest)
    return x1 + left, y1 + top, x1 + right, y1 + bottom


def _bounds(mask: np.ndarray) -> tuple[int, int, int, int]:
    """Box of everything that is set, in a mask that is not empty."""
    x1, x2 = _ends(np.asarray(mask.any(0)))
    y1, y2 = _ends(np.asarray(mask.any(1)))
    return x1, y1, x2, y2


def _ends(line: np.ndarray) -> tuple[int, int]:
    return int(line.argmax()), len(line) - int(line[::-1].argmax())
