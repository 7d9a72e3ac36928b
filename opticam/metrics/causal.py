"""Insertion and deletion: the probability of the predicted class as pixels appear or vanish, best first.

Both follow RISE (Petsiuk et al., 2018) with the settings of Opti-CAM section 5.3.2: 224 steps of 224 pixels of a
224 x 224 image, the class predicted on the image, its softmax probability at each of the 225 stages.

Pixels are ordered by falling saliency. Pixels of equal saliency are taken from the last to the first in raster
order, which is what RISE's flipped argsort gives when the sort is stable; so a curve never depends on the batch
or the device, and a constant map is perturbed from the bottom right corner.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional

from opticam.batches import check_max_batch, default_batch
from opticam.masking import step_masks
from opticam.metrics.checks import check_images, check_maps, check_targets
from opticam.metrics.faithfulness import target_probability

MEAN_GREY = (0.485, 0.456, 0.406)
KERNEL_SIZE = 11
KERNEL_SIGMA = 5.0


class CausalCurve(NamedTuple):
    """curve [B, T]: probability in [0, 1] at each stage, both ends included. auc [B]: its area in percent."""

    curve: Tensor
    auc: Tensor


def insertion(
    classifier: Callable[[Tensor], Tensor],
    images: Tensor,
    maps: Tensor,
    targets: Tensor | None = None,
    *,
    steps: int = 224,
    max_batch: int | None = None,
) -> CausalCurve:
    """I: area under the probability while the salient pixels replace those of a blurred image.

    `images` [B, 3, H, W] in [0, 1]; `maps` [B, H, W]; `targets` int [B], by default the predicted classes.
    The pixels come in `steps` equal portions (rounded where `steps` does not divide H · W), so the curve has
    T = steps + 1 points. `max_batch`: largest number of images in one forward pass, which bounds the memory;
    `None` takes `opticam.batches.default_batch`.

    Returns the curve [B, T] and its trapezoidal area [B] in percent, 0 to 100; higher is better. The blur is
    `rise_blur`. Source: Opti-CAM section 5.3.2; RISE, algorithm 1.
    Raises `ValueError`/`TypeError` when a shape or dtype does not fit.
    """
    ranks, targets, max_batch = _prepare(classifier, images, maps, targets, steps, max_batch)
    return _curve(classifier, ranks, images, rise_blur(images), targets, steps, max_batch)


def deletion(
    classifier: Callable[[Tensor], Tensor],
    images: Tensor,
    maps: Tensor,
    targets: Tensor | None = None,
    *,
    substrate: str | Sequence[float] = "black",
    steps: int = 224,
    max_batch: int | None = None,
) -> CausalCurve:
    """D: area under the probability while the salient pixels of an image are replaced by one colour.

    `substrate`: "black", as Opti-CAM's text says; "grey", ImageNet's mean colour, which is what zeros in a
    normalised tensor mean (RISE); or a colour of as many numbers in [0, 1] as the images have channels.
    Other arguments as in `insertion`.

    Returns the curve [B, T] and its trapezoidal area [B] in percent, 0 to 100; lower is better.
    Source: Opti-CAM section 5.3.2; RISE, algorithm 1. Raises `ValueError`/`TypeError` as `insertion` does.
    """
    check_images(images)
    colour = substrate_colour(substrate, images.shape[1])
    ranks, targets, max_batch = _prepare(classifier, images, maps, targets, steps, max_batch)
    flat = images.new_tensor(colour).reshape(1, -1, 1, 1).expand_as(images).contiguous()
    return _curve(classifier, ranks, flat, images, targets, steps, max_batch)


def saliency_ranks(maps: Tensor) -> Tensor:
    """Place of each pixel in the order of falling saliency: int64 [B, H, W], 0 first, ties last pixel first."""
    order = maps.flatten(1).argsort(dim=1, stable=True).flip(1)
    places = torch.arange(order.shape[1], device=maps.device).expand_as(order)
    return torch.empty_like(order).scatter_(1, order, places).view(maps.shape)


def rise_blur(images: Tensor) -> Tensor:
    """Images [B, C, H, W] after RISE's blur: 11 x 11 kernel of sigma 5, zero padding, raw pixels.

    The kernel is SciPy's Gaussian filter of a unit impulse in an 11 x 11 window, as RISE makes it: the filter
    reflects at the window's border, so the kernel sums to one and is flatter than a cut Gaussian.
    """
    # Not torchvision's gaussian_blur: its kernel is a cut Gaussian, and it reflects at the images' border.
    impulse = np.zeros(KERNEL_SIZE)
    impulse[KERNEL_SIZE // 2] = 1
    line = torch.from_numpy(ndimage.gaussian_filter1d(impulse, KERNEL_SIGMA)).to(images)
    kernel = torch.outer(line, line).expand(images.shape[1], 1, -1, -1)
    return functional.conv2d(images, kernel, padding=KERNEL_SIZE // 2, groups=images.shape[1])


def substrate_colour(substrate: str | Sequence[float], channels: int) -> tuple[float, ...]:
    """The colour of a deletion substrate: one number in [0, 1] a channel; `ValueError` for anything else."""
    named = {"black": (0.0,) * channels, "grey": MEAN_GREY}
    colour = named.get(substrate, ()) if isinstance(substrate, str) else tuple(substrate)
    if len(colour) != channels or not all(0 <= value <= 1 for value in colour):
        raise ValueError(
            f"substrate must be 'black', 'grey' for images of 3 channels, or numbers in [0, 1], one for each of the "
            f"{channels} channels, got {substrate!r}"
        )
    return colour


def _prepare(
    classifier: Callable[[Tensor], Tensor],
    images: Tensor,
    maps: Tensor,
    targets: Tensor | None,
    steps: int,
    max_batch: int | None,
) -> tuple[Tensor, Tensor, int]:
    check_images(images)
    check_maps(maps, images)
    max_batch = check_max_batch(max_batch) or default_batch(images)
    pixels = maps.shape[1:].numel()
    if not 1 <= steps <= pixels:
        raise ValueError(f"steps must be between 1 and the number of pixels, {pixels}, got {steps}")
    if targets is None:
        targets = _predicted(classifier, images, max_batch)
    check_targets(targets, len(images))
    return saliency_ranks(maps), targets, max_batch


@torch.no_grad()
def _predicted(classifier: Callable[[Tensor], Tensor], images: Tensor, max_batch: int) -> Tensor:
    return torch.cat([classifier(chunk).argmax(1) for chunk in images.split(max_batch)])


@torch.no_grad()
def _curve(
    classifier: Callable[[Tensor], Tensor],
    ranks: Tensor,
    inside: Tensor,
    outside: Tensor,
    targets: Tensor,
    steps: int,
    max_batch: int,
) -> CausalCurve:
    """Probabilities while pixels go over from `outside` to `inside` in the order of `ranks`."""
    stages = torch.linspace(0, ranks.shape[1] * ranks.shape[2], steps + 1, dtype=torch.float64).round().long()
    stages = stages.to(ranks.device)
    curve = torch.empty(len(ranks), len(stages), device=ranks.device)
    for rows, columns in _portions(len(ranks), len(stages), max_batch):
        masked = step_masks(ranks[rows], inside[rows], outside[rows], stages[columns]).flatten(0, 1)
        repeated = targets[rows].repeat_interleave(len(stages[columns]))
        scores = target_probability(classifier, masked, repeated)
        curve[rows, columns] = scores.view(-1, len(stages[columns])).to(curve.dtype)
    return CausalCurve(curve, 100 * torch.trapezoid(curve, dim=1) / steps)


def _portions(batch: int, stages: int, max_batch: int) -> Iterator[tuple[slice, slice]]:
    """Blocks of images and stages that cover [batch, stages], at most `max_batch` pairs each."""
    group = min(batch, max_batch)
    together = max(1, max_batch // max(group, 1))
    for row in range(0, batch, max(group, 1)):
        for column in range(0, stages, together):
            yield slice(row, row + group), slice(column, column + together)
