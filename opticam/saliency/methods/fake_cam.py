"""Fake-CAM: the trivial map that keeps the whole image."""

from __future__ import annotations

import torch

from opticam.baselines import whole_image_map
from opticam.saliency.base import SaliencyMethod
from opticam.saliency.targets import Score


class FakeCAM(SaliencyMethod):
    """Ones everywhere, zero at the top left pixel (Poppi et al., 2021; Opti-CAM, section 4).

    It explains nothing, yet its average drop is near zero: a check that a metric can be fooled.
    """

    def compute(self, images: torch.Tensor, score: Score) -> torch.Tensor:
        """Maps [B,H,W]: one but for pixel [0,0]."""
        return whole_image_map(len(images), *images.shape[-2:]).to(images)
