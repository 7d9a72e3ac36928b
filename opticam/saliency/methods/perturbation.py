"""Images perturbed by a different amount at each pixel."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch.nn import functional as F

MAX_BLUR = 20.0
"""Standard deviation of the strongest blur, in pixels."""
LEVELS = 8


def blur(images: torch.Tensor, amount: float) -> torch.Tensor:
    """Gaussian blur with a standard deviation of `amount` times 20 pixels; around the images are zeros."""
    sigma = amount * MAX_BLUR
    return _blur_rows(_blur_rows(images, sigma).mT, sigma).mT if sigma > 0 else images


def _blur_rows(images: torch.Tensor, sigma: float) -> torch.Tensor:
    """Blur along the last axis; the kernel reaches four deviations."""
    radius = math.ceil(4 * sigma)
    offsets = torch.arange(-radius, radius + 1, dtype=images.dtype, device=images.device)
    kernel = torch.exp(-(offsets**2) / (2 * sigma**2))
    rows = images.flatten(0, 1)[:, None]
    return F.conv2d(rows, (kernel / kernel.sum())[None, None, None], padding=(0, radius)).reshape(
        images.shape
    )


def fade(images: torch.Tensor, amount: float) -> torch.Tensor:
    """Fade towards zero."""
    return images * (1 - amount)


PERTURBATIONS: dict[str, Callable[[torch.Tensor, float], torch.Tensor]] = {"blur": blur, "fade": fade}


class PerturbedImages:
    """Images [B,3,H,W] at eight levels of a perturbation, blended by masks.

    The perturbations act on pixels less the `mean` colour [1,3,1,1], the zero of a network's normalised pixels:
    they blur with that colour around the images, or fade towards it.
    """

    def __init__(self, images: torch.Tensor, perturbation: str, mean: torch.Tensor) -> None:
        amounts = [1 - level / (LEVELS - 1) for level in range(LEVELS - 1)]
        perturbed = [mean + PERTURBATIONS[perturbation](images - mean, amount) for amount in amounts]
        self.levels = torch.stack([*perturbed, images], 1)

    def __call__(self, masks: torch.Tensor) -> torch.Tensor:
        """Images [B,3,H,W] seen through masks [B,H,W]: 1 keeps a pixel, 0 perturbs it most; differentiable."""
        position = masks[:, None, None] * (LEVELS - 1)
        below = position.detach().floor().clamp(max=LEVELS - 2).long()
        index = below.expand(-1, -1, *self.levels.shape[2:])
        lower, upper = self.levels.gather(1, index), self.levels.gather(1, index + 1)
        return torch.lerp(lower, upper, (position - below).expand_as(lower)).squeeze(1)
