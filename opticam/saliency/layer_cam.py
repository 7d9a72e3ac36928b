"""Layer-CAM: every position weighted by its own positive gradient."""

from __future__ import annotations

import torch

from opticam.saliency.targets import Score
from opticam.saliency.weighted_features import WeightedFeatures


class LayerCAM(WeightedFeatures):
    """n(up(relu(sum_k relu(g^k) A^k))) with g = dy/dA^k at each position (Jiang et al., 2021)."""

    def weigh(self, images: torch.Tensor, score: Score) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights [B,K,h,w] from one forward pass and one gradient."""
        features, gradients, _ = self.classifier.gradients(images, score)
        return features, gradients.relu()
