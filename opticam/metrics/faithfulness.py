"""Average drop, average gain and average increase: what masking does to the probability of a class.

p is the probability of the class on the image x (by default the softmax), o the same on the masked image x ⊙ S.
Every function gives one value per image, in percent; the paper's figures are means over images.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from opticam.metrics.checks import check_images, check_targets, check_unit_maps, check_unit_range
from opticam.probability import of_targets, softmax

GAIN_DENOMINATORS = ("complement", "probability")


def average_drop(p: Tensor, o: Tensor) -> Tensor:
    """AD = 100 · max(0, p - o) / p per image.

    `p`, `o`: probabilities [B] on the image and on the masked image. Returns [B] in [0, 100]; lower is
    better. The machine epsilon of the dtype is added to the denominator, so p = 0 gives 0.
    Source: Opti-CAM eq. 13.
    """
    _check_probabilities(p, o)
    return 100 * (p - o).clamp(min=0) / (p + torch.finfo(p.dtype).eps)


def average_gain(p: Tensor, o: Tensor, denominator: str = "complement") -> Tensor:
    """AG = 100 · max(0, o - p) / (1 - p) per image.

    `p`, `o`: probabilities [B] on the image and on the masked image. Returns [B] in [0, 100]; higher is
    better. The machine epsilon of the dtype is added to the denominator, so p = 1 gives 0.
    Source: Opti-CAM eq. 15.

    `denominator="probability"` divides by p instead, as eq. 12 of the authors' slides prints it. It is not
    the default because the paper and the authors' evaluation code divide by 1 - p, and because the gain over
    p has no upper bound: one image with a small p outweighs all others in the mean. Its range is [0, ∞).

    Raises `ValueError` for another `denominator`.
    """
    _check_probabilities(p, o)
    if denominator not in GAIN_DENOMINATORS:
        raise ValueError(f"denominator must be one of {GAIN_DENOMINATORS}, got {denominator!r}")
    room = 1 - p if denominator == "complement" else p
    return 100 * (o - p).clamp(min=0) / (room + torch.finfo(p.dtype).eps)


def average_increase(p: Tensor, o: Tensor) -> Tensor:
    """AI = 100 · 1[o > p] per image; a tie counts as no increase.

    `p`, `o`: probabilities [B] on the image and on the masked image. Returns [B], each 0 or 100; higher is
    better. Source: Opti-CAM eq. 14.
    """
    _check_probabilities(p, o)
    return 100 * (o > p).to(p.dtype)


def faithfulness(
    classifier: Callable[[Tensor], Tensor],
    images: Tensor,
    maps: Tensor,
    targets: Tensor,
    image_probabilities: Tensor | None = None,
) -> dict[str, Tensor]:
    """AD, AG and AI of a batch of maps, with one forward pass over the masked images.

    `images` [B, 3, H, W] in [0, 1], `maps` [B, H, W] in [0, 1], `targets` [B] integer class ids. The mask
    multiplies the raw pixels. `image_probabilities` [B] are the probabilities of the targets on the plain
    images (`target_probability`); without them they are computed here, with one more pass.

    Returns {"AD": [B], "AG": [B], "AI": [B]} in percent: AD down, AG and AI up is better. Source: Opti-CAM
    eqs. 13-15. Raises `ValueError`/`TypeError` when a shape, dtype or range does not fit.
    """
    check_images(images)
    check_unit_maps(maps, images)
    check_targets(targets, len(images))
    if image_probabilities is None:
        image_probabilities = target_probability(classifier, images, targets)
    masked = target_probability(classifier, images * maps[:, None], targets)
    return faithfulness_scores(image_probabilities, masked)


def faithfulness_scores(p: Tensor, o: Tensor) -> dict[str, Tensor]:
    """AD, AG and AI from the two probabilities [B]: {"AD": [B], "AG": [B], "AI": [B]} in percent."""
    return {"AD": average_drop(p, o), "AG": average_gain(p, o), "AI": average_increase(p, o)}


@torch.no_grad()
def target_probability(
    classifier: Callable[[Tensor], Tensor], images: Tensor, targets: Tensor, *, log: bool = False
) -> Tensor:
    """Probability of `targets` [B] on `images` [B, 3, H, W]: [B] in [0, 1], at least float32.

    It is what `Classifier(probability=...)` makes of the logits; the softmax of those of any other callable. `log`:
    its natural logarithm instead, which keeps digits where the probability itself would be 0. Raises `ValueError`
    when a target is not a class of the classifier, and for the softmax of one logit.
    """
    check_images(images)
    check_targets(targets, len(images))
    logits = classifier(images)
    classes = logits.shape[1]
    if len(targets) and (int(targets.min()) < 0 or int(targets.max()) >= classes):
        raise ValueError(f"targets must be class ids in 0..{classes - 1}, got {targets.tolist()}")
    return of_targets(logits, targets, getattr(classifier, "probabilities", softmax), log=log)


def _check_probabilities(p: Tensor, o: Tensor) -> None:
    for name, value in (("p", p), ("o", o)):
        if not isinstance(value, Tensor) or not value.is_floating_point():
            raise TypeError(f"{name} must be a float tensor [B] of probabilities, got {type(value).__name__}")
    if p.shape != o.shape:
        raise ValueError(f"p and o must have one shape, got {tuple(p.shape)} and {tuple(o.shape)}")
    for name, value in (("p", p), ("o", o)):
        check_unit_range(value, f"{name} must be probabilities in [0, 1]")
