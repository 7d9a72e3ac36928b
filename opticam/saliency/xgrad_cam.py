"""XGrad-CAM: gradients averaged with the activations as weights."""

from __future__ import annotations

import torch

from opticam.saliency.targets import Score
from opticam.saliency.weighted_features import WeightedFeatures

EPSILON = 1e-7
"""Added to the denominator, as in the grad-cam package, whose figures the Opti-CAM paper reports."""


class XGradCAM(WeightedFeatures):
    """w_k = sum_ij g_ij A^k_ij / sum_ij A^k_ij with g = dy/dA^k (Fu et al., 2020)."""

    def weigh(self, images: torch.Tensor, score: Score) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights [B,K,1,1] from one forward pass and one gradient."""
        features, gradients, _ = self.classifier.gradients(images, score)
        total = features.sum((2, 3), keepdim=True)
        return features, (gradients * features).sum((2, 3), keepdim=True) / (total + EPSILON)
