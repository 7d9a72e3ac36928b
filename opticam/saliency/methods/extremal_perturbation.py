"""Extremal perturbation: the smooth mask of a given area through which the class scores highest."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from opticam.classifier import Classifier
from opticam.saliency.base import SaliencyMethod
from opticam.saliency.methods.perturbation import PERTURBATIONS, PerturbedImages
from opticam.saliency.methods.smooth_masks import SmoothMasks
from opticam.saliency.targets import Score, score_variants

AREA_WEIGHT = 300.0
AREA_WEIGHT_GROWTH = 1.0035
LEARNING_RATE = 0.01
MOMENTUM = 0.9


class ExtremalPerturbation(SaliencyMethod):
    """argmax_m y_c(m x + (1 - m) blurred x) with the area of m fixed (Fong, Patrick and Vedaldi, ICCV 2019).

    The area is held by a penalty on the sorted mask's distance to a step of that area, whose weight grows
    with the iterations; masks are smooth by construction (`SmoothMasks`). Algorithm and defaults are those of the
    authors' library, TorchRay; the Opti-CAM paper states none. Three differences: the area is that of the image, to
    the nearest pixel, where the library counts a margin around it; the smooth maximum is evaluated at points up to
    two pixels apart; and where sigma is no multiple of step a point sees as many cells on each side, there not.

    areas: shares of the image in (0, 1); the map is the mean of their masks. iterations: masks tried, the first of
    ones; the last is the map. perturbation: "blur", or "fade" to the network's mean colour. step, sigma: distance of
    the mask's cells, and their radius, in pixels. flip: mirror the images at every second iteration. precision:
    "float64" to compute on a float64 copy of the network; None for its own.
    """

    revision = 2  # 1 had another border, blur and place of the cells

    def __init__(
        self,
        classifier: Classifier,
        *,
        areas: Sequence[float] = (0.1,),
        iterations: int = 800,
        perturbation: str = "blur",
        step: int = 7,
        sigma: float = 21.0,
        flip: bool = True,
        precision: str | None = None,
    ) -> None:
        super().__init__(classifier, precision=precision)
        if not areas or not all(0 < area < 1 for area in areas):
            raise ValueError(f"areas: expected shares of the image between 0 and 1, got {areas}")
        if perturbation not in PERTURBATIONS:
            raise ValueError(
                f"perturbation: expected one of {', '.join(PERTURBATIONS)}, got {perturbation!r}"
            )
        if iterations < 1 or step < 1 or sigma <= 0:
            raise ValueError(f"iterations, step, sigma: must be positive, got {iterations}, {step}, {sigma}")
        self.areas = tuple(areas)
        self.iterations = iterations
        self.perturbation = perturbation
        self.step, self.sigma = step, sigma
        self.flip = flip

    def compute(self, images: torch.Tensor, score: Score) -> torch.Tensor:
        """Maps [B,H,W]: the masks, averaged over the areas."""
        return self.masks(images, score).mean(1)

    def masks(self, images: torch.Tensor, score: Score) -> torch.Tensor:
        """Masks [B,A,H,W] in [0,1], one for each area; mean and area agree to about the width of their edges."""
        count = len(self.areas)
        perturbed = PerturbedImages(
            images.repeat_interleave(count, 0), self.perturbation, self.classifier.mean.to(images)
        )
        smooth = SmoothMasks((images.shape[-2], images.shape[-1]), self.step, self.sigma, images)
        parameters = images.new_ones(len(images) * count, *smooth.grid, requires_grad=True)
        sgd = torch.optim.SGD([parameters], LEARNING_RATE, MOMENTUM, dampening=MOMENTUM, maximize=True)
        for iteration in range(self.iterations - 1):
            weight = AREA_WEIGHT * AREA_WEIGHT_GROWTH**iteration
            mirrored = self.flip and iteration % 2 == 0
            with torch.enable_grad():
                masks = smooth(parameters)
                seen = perturbed(masks)
                logits = self.classifier(seen.flip(3) if mirrored else seen)
                reward = score_variants(score, logits.unflatten(0, (-1, count))).sum()
                penalty = weight * area_distance(masks, self.areas)
            (parameters.grad,) = torch.autograd.grad(reward - penalty, [parameters])
            sgd.step()
            with torch.no_grad():
                parameters.clamp_(0, 1)
        with torch.no_grad():
            found: torch.Tensor = smooth(parameters).clamp(0, 1).unflatten(0, (-1, count))
            return found


def area_distance(masks: torch.Tensor, areas: Sequence[float]) -> torch.Tensor:
    """Mean squared distances of masks [BA,H,W] to binary masks of the areas, summed.

    The binary mask that is nearest has the largest pixels: that of the sorted pixels is a step.
    """
    by_area = masks.flatten(1).unflatten(0, (-1, len(areas)))
    pixels = by_area.shape[2]
    counts = [pixels - round(pixels * (1 - area)) for area in areas]
    binary = [_largest(one, count) for one, count in zip(by_area.detach().unbind(1), counts)]
    distance: torch.Tensor = (by_area - torch.stack(binary, 1)).square().mean(2).sum()
    return distance


def _largest(masks: torch.Tensor, count: int) -> torch.Tensor:
    """One at the `count` largest pixels of masks [B,HW], zero elsewhere; of equal ones the last count.

    Many pixels tie but for rounding: compared in float32, the choice is one on every machine.
    """
    values = masks.float()
    threshold = values.kthvalue(min(values.shape[1] - count + 1, values.shape[1]), dim=1, keepdim=True).values
    above, equal = values > threshold, values == threshold
    left = count - above.sum(1, keepdim=True)
    behind = equal.sum(1, keepdim=True) - equal.cumsum(1)
    return (above | equal & (behind < left)).to(masks.dtype)
