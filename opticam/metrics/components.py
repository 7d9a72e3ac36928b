"""The box around the largest connected component of a binary map, for a whole batch.

Two pixels are connected when they share a side. Of several components of one size the first in raster order
counts, as in the authors' code, so the result does not depend on the batch or on the number of threads.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

# A batch is labelled as one volume; without links along the first axis images stay apart.
SIDES_WITHIN_AN_IMAGE = np.zeros((3, 3, 3), dtype=bool)
SIDES_WITHIN_AN_IMAGE[1] = ndimage.generate_binary_structure(2, 1)


def largest_component_box(masks: Tensor) -> Tensor:
    """Box B_p of the largest 4-connected component of each mask.

    `masks`: bool [B, H, W], any device. Returns int64 [B, 4], (x1, y1, x2, y2) with the end excluded, on the
    device of `masks`; an empty mask gives (0, 0, 0, 0). Labels are computed on the CPU by `scipy.ndimage`.
    """
    arrays = masks.cpu().numpy()
    chunks = np.array_split(arrays, min(torch.get_num_threads(), max(1, len(arrays))))
    with ThreadPoolExecutor(len(chunks)) as threads:  # scipy releases the interpreter lock while it labels
        boxes = np.concatenate(list(threads.map(_boxes, chunks)))
    return torch.from_numpy(boxes).to(masks.device)


def _boxes(masks: np.ndarray) -> np.ndarray:
    largest = _largest_components(masks)
    x1, x2 = _ends(largest.any(1))
    y1, y2 = _ends(largest.any(2))
    return np.stack([x1, y1, x2, y2], axis=1)


def _largest_components(masks: np.ndarray) -> np.ndarray:
    labels, count = ndimage.label(masks, SIDES_WITHIN_AN_IMAGE)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    last = np.maximum.accumulate(labels.max((1, 2), initial=0))
    first = np.concatenate([[0], last[:-1]]) + 1
    winners = [a + sizes[a : b + 1].argmax() if a <= b else -1 for a, b in zip(first, last)]
    return labels == np.array(winners).reshape(-1, 1, 1)


def _ends(line: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First set position and one past the last of each row of bool [B, N]; 0 and 0 where none is set."""
    start = line.argmax(1)
    end = line.shape[1] - line[:, ::-1].argmax(1)
    return start, np.where(line.any(1), end, 0)
