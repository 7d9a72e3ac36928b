"""SM: does the box around the map still hold what the classifier needs, and is it small?"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from opticam.metrics.boxes import box_area
from opticam.metrics.checks import check_images, check_maps, check_targets
from opticam.metrics.localization import protocol_rules
from opticam.probability import softmax

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
    boxes = rules.predicted_box(maps)
    share = box_area(boxes) / maps[0].numel()
    logits = classifier(crop_and_resize(images, boxes))
    probabilities = getattr(classifier, "probabilities", softmax)
    # The logarithm of a softmax keeps digits where the probability itself would be 0.
    logs = logits.log_softmax(1) if probabilities is softmax else probabilities(logits).log()
    log_probability = logs.gather(1, targets.to(logits.device, torch.int64)[:, None])[:, 0]
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
