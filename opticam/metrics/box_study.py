"""The bounding-box study: is the object all that the classifier looks at?

The mask S is replaced by the box mask B, its complement I\\B, and the parts of S inside and outside the box.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from opticam.metrics.boxes import Boxes, pack_boxes, union_mask
from opticam.metrics.checks import check_images, check_targets, check_unit_maps
from opticam.metrics.faithfulness import faithfulness_scores, target_probability
from opticam.metrics.legacy_protocol import legacy_union_mask

REGIONS = ("B", "I\\B", "S", "B∩S", "S\\B")
BOX_MASKS = {"paper": union_mask, "legacy": legacy_union_mask}


def box_study(
    classifier: Callable[[Tensor], Tensor],
    images: Tensor,
    maps: Tensor,
    targets: Tensor,
    boxes: Boxes,
    *,
    protocol: str = "paper",
    regions: Sequence[str] = REGIONS,
    image_probabilities: Tensor | None = None,
) -> dict[str, dict[str, Tensor]]:
    """AD, AG and AI with S replaced by each region of the box study, one forward pass per region.

    `images` [B, 3, H, W] and `maps` S [B, H, W] in [0, 1], `targets` int [B] true classes. `boxes`: B tensors
    [n, 4]; B is their union. "paper" takes boxes carried through the image's transform; "legacy" takes
    `opticam.data.imagenet_transforms.legacy_boxes` and the transposed, truncated mask of the authors' code
    (`legacy_union_mask`), with which the published table was made. `regions`: which of "B" (x ⊙ 1_B), "I\\B"
    (x ⊙ (1 - 1_B)), "S" (x ⊙ S), "B∩S" (x ⊙ S ⊙ 1_B), "S\\B" (x ⊙ S ⊙ (1 - 1_B)); nothing is normalised again.
    `image_probabilities` [B]: probabilities of the targets on the plain images, if already known.

    Returns {region: {"AD": [B], "AG": [B], "AI": [B]}} in percent: AD down, AG and AI up is better.
    Source: Opti-CAM section 5.4, Table 5. Raises `ValueError`/`TypeError` when an argument does not fit.
    """
    _check(images, maps, targets, protocol, regions)
    if image_probabilities is None:
        image_probabilities = target_probability(classifier, images, targets)
    masks = region_masks(maps, boxes, protocol)
    return {
        region: faithfulness_scores(
            image_probabilities, target_probability(classifier, images * masks[region][:, None], targets)
        )
        for region in regions
    }


def region_masks(maps: Tensor, boxes: Boxes, protocol: str = "paper") -> dict[str, Tensor]:
    """The mask [B, H, W] in [0, 1] of each region of the box study, from maps S [B, H, W] and the boxes."""
    packed = pack_boxes(boxes, len(maps), maps.device)
    inside = BOX_MASKS[protocol](packed, *maps.shape[1:]).to(maps.dtype)
    outside = 1 - inside
    return dict(zip(REGIONS, (inside, outside, maps, maps * inside, maps * outside)))


def _check(images: Tensor, maps: Tensor, targets: Tensor, protocol: str, regions: Sequence[str]) -> None:
    if protocol not in BOX_MASKS:
        raise ValueError(f"protocol must be one of {tuple(BOX_MASKS)}, got {protocol!r}")
    unknown = [region for region in regions if region not in REGIONS]
    if unknown:
        raise ValueError(f"regions must be among {REGIONS}, got {unknown}")
    check_images(images)
    check_unit_maps(maps, images)
    check_targets(targets, len(images))
