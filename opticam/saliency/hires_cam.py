"""HiRes-CAM: every position weighted by its own gradient."""

from __future__ import annotations

import torch

from opticam.saliency.targets import Score
from opticam.saliency.weighted_features import WeightedFeatures


class HiResCAM(WeightedFeatures):
    """n(up(relu(sum_k g^k A^k))) with g = dy/dA^k at each position (Draelos and Carin, 2020)."""

    def weigh(self, images: torch.Tensor, score: Score) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights [B,K,h,w] from one forward pass and one gradient."""
        features, gradients, _ = self.classifier.gradients(images, score)
        return features, gradients
