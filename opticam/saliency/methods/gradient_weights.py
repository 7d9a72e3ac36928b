"""What Grad-CAM and its kin share: weights from the gradients at the target layer, in one forward pass."""

from __future__ import annotations

from abc import abstractmethod

import torch

from opticam.saliency.methods.weighted_features import WeightedFeatures
from opticam.saliency.targets import PredictedScore, Score, Targets


class GradientWeights(WeightedFeatures):
    """n(up(relu(sum_k w_k A^k))) with w a function of A and of g = dy/dA.

    A predicted class is read off the pass that records A, so that no pass is needed to find it.
    """

    def weigh(self, images: torch.Tensor, score: Score) -> tuple[torch.Tensor, torch.Tensor]:
        """Feature maps and weights from one forward pass and the gradient of the layers behind the target layer."""
        features, gradients, _ = self.classifier.gradients(images, score)
        return features, self.weights(features, gradients)

    @abstractmethod
    def weights(self, features: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        """Weights [B,K,1,1] or [B,K,h,w] from A and g, both [B,K,h,w]."""

    def _score(self, images: torch.Tensor, targets: Targets) -> Score:
        if targets is None and len(images):
            return PredictedScore(self.selector, self.classifier.probabilities)
        return super()._score(images, targets)
