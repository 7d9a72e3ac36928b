"""Grad-CAM: channels weighted by their mean gradient."""

from __future__ import annotations

import torch

from opticam.saliency.targets import Score
from opticam.saliency.weighted_features import WeightedFeatures


class GradCAM(WeightedFeatures):
    """n(up(relu(sum_k w_k A^k))) with w_k the mean over positions of dy/dA^k (Selvaraju et al., 2017)."""

    def weigh(self, images: torch.Tensor, score: Score) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights [B,K,1,1] from one forward pass and the gradient of the layers behind the target layer."""
        features, gradients, _ = self.classifier.gradients(images, score)
        return features, gradients.mean((2, 3), keepdim=True)
