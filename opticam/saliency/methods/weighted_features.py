"""What the CAM family shares: feature maps, weighted, added, clipped at zero, upsampled and normalised."""

from __future__ import annotations

from abc import abstractmethod

import torch

from opticam.classifier import Classifier
from opticam.masking import upsample_and_normalize
from opticam.saliency.base import SaliencyMethod
from opticam.saliency.targets import Score


class WeightedFeatures(SaliencyMethod):
    """n(up(relu(sum_k w_k A^k))); a method of the family says what the weights w are."""

    def __init__(self, classifier: Classifier) -> None:
        super().__init__(classifier)
        self.layers = [classifier.target_layer]

    def compute(self, images: torch.Tensor, score: Score) -> torch.Tensor:
        """Maps [B,H,W] from the weights of `weigh`."""
        return weighted_map(*self.weigh(images, score), tuple(images.shape[-2:]))

    @abstractmethod
    def weigh(self, images: torch.Tensor, score: Score) -> tuple[torch.Tensor, torch.Tensor]:
        """Feature maps A [B,K,h,w] and their weights, [B,K,1,1] or [B,K,h,w]."""


def weighted_map(features: torch.Tensor, weights: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    """n(up(relu(sum_k w_k A^k))) [B,H,W] of feature maps [B,K,h,w] and their weights."""
    return upsample_and_normalize((weights * features).sum(1).relu(), size)
