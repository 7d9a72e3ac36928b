"""Images perturbed by a different amount at each pixel."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torchvision.transforms.functional import gaussian_blur

MAX_BLUR = 20.0
"""Standard deviation of the strongest blur, in pixels."""
LEVELS = 8


def blur(images: torch.Tensor, amount: float) -> torch.Tensor:
    """Gaussian blur with a standard deviation of `amount` times 20 pixels."""
    sigma = amount * MAX_BLUR
    if sigma == 0:
        return images
    # The kernel reaches three standard deviations, or as far as the image can be mirrored.
    size = [2 * min(round(3 * sigma), side - 1) + 1 for side in images.shape[-1:-3:-1]]
    return gaussian_blur(images, size, [sigma, sigma])


def fade(images: torch.Tensor, amount: float) -> torch.Tensor:
    """Darken towards black."""
    return images * (1 - amount)


PERTURBATIONS: dict[str, Callable[[torch.Tensor, float], torch.Tensor]] = {"blur": blur, "fade": fade}


class PerturbedImages:
    """Images [B,3,H,W] at eight levels of a perturbation, blended by masks."""

    def __init__(self, images: torch.Tensor, perturbation: str) -> None:
        amounts = [1 - level / (LEVELS - 1) for level in range(LEVELS)]
        self.levels = torch.stack([PERTURBATIONS[perturbation](images, amount) for amount in amounts], 1)

    def __call__(self, masks: torch.Tensor) -> torch.Tensor:
        """Images [B,3,H,W] seen through masks [B,H,W]: 1 keeps a pixel, 0 perturbs it most; differentiable."""
        position = masks[:, None, None] * (LEVELS - 1)
        below = position.detach().floor().clamp(max=LEVELS - 2).long()
        index = below.expand(-1, -1, *self.levels.shape[2:])
        lower, upper = self.levels.gather(1, index), self.levels.gather(1, index + 1)
        return torch.lerp(lower, upper, (position - below).expand_as(lower)).squeeze(1)
