"""HiRes-CAM: every position weighted by its own gradient."""

from __future__ import annotations

import torch

from opticam.saliency.base import warn_of_rounding
from opticam.saliency.methods.gradient_weights import GradientWeights
from opticam.saliency.targets import Score


class HiResCAM(GradientWeights):
    """n(up(relu(sum_k g^k A^k))) with g = dy/dA^k at each position (Draelos and Carin, 2020).

    Warns where that sum is nothing but rounding, as in front of a layer norm of each position's channels (timm's
    Swin): no scale of its input changes what is behind it.
    """

    def weigh(self, images: torch.Tensor, score: Score) -> tuple[torch.Tensor, torch.Tensor]:
        """A and g, both [B,K,h,w]."""
        features, gradients = super().weigh(images, score)
        warn_of_rounding(
            gradients * features,
            "its channels times their gradients add up to zero but for rounding, and so HiRes-CAM's map is rounding; "
            "take another layer",
        )
        return features, gradients

    def weights(self, features: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        """Weights [B,K,h,w] from A and g, of the same shape."""
        return gradients
