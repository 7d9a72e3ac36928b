"""Maps that look at no picture, as methods: every localisation figure stands beside theirs."""

from __future__ import annotations

import torch

from opticam.metrics import centre_map
from opticam.saliency import SaliencyMethod
from opticam.saliency.targets import Score


class ImageCentre(SaliencyMethod):
    """A bell about the image's centre, for every image and class."""

    def compute(self, images: torch.Tensor, score: Score) -> torch.Tensor:
        """Maps [B,H,W]."""
        return centre_map(len(images), *images.shape[-2:]).to(images)


BASELINES: dict[str, type[SaliencyMethod]] = {"Image centre": ImageCentre}
"""The whole image as a map is Fake-CAM, which is among the methods."""
