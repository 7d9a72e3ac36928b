"""SM: does the box around the map still hold what the classifier needs, and is it small?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from opticam.metrics.boxes import box_area
from opticam.metrics.checks import at_least_float32, check_images, check_maps, check_targets
from opticam.metrics.faithfulness import target_probability
from opticam.metrics.localization import protocol_rules

SMALLEST_AREA = 0.05


@torch.no_grad()
def saliency_metric(
    classifier: Callable[[Tensor], Tensor],
    images: Tensor,
    maps: Tensor,
    targets: Tensor,
    protocol: str = "paper",
) -> Tensor:
    """SM = log max(0.05, |B_p| / hw) - log p_c, p_c the probability of the class on the image cut to B_p.

    `images` [B, 3, H, W] in [0, 1], `maps` [B, H, W], `targets` int [B] true classes. B_p is the box of the
    largest component of S > mean(S), for "legacy" without its last row and column. The crop is resized to
    H x W (bicubic without antialiasing, as OpenCV's INTER_CUBIC; it may leave [0, 1] slightly); a box without
    area gives a black image.

    Returns [B], natural logarithms, from log 0.05 upwards without limit; lower is better. Not in percent.
    Source: Opti-CAM eq. B.7. Raises `ValueError`/`TypeError` when an argument does not fit.
    """
    rules = protocol_rules(protocol)
    check_images(images)
    check_maps(maps, images)
    check_targets(targets, len(images))
    boxes = rules.predicted_box(at_least_float32(maps))
    share = box_area(boxes) / maps.shape[1:].numel()
    log_probability = target_probability(classifier, crop_and_resize(images, boxes), targets, log=True)
    return share.clamp(SMALLEST_AREA, 1).log() - log_probability


def crop_and_resize(images: Tensor, boxes: Tensor) -> Tensor:
    """Each image [B, C, H, W] cut to its box, int [B, 4] inside the image, and resized to H x W again."""
    size = images.shape[2:]
    result = torch.zeros_like(images)
    for index, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        if x1 < x2 and y1 < y2:
            crop = images[index : index + 1, :, y1:y2, x1:x2]
            result[index] = functional.interpolate(crop, size, mode="bicubic", align_corners=False)[0]
    return result
