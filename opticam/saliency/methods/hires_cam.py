"""HiRes-CAM: every position weighted by its own gradient."""

from __future__ import annotations

import torch

from opticam.saliency.methods.gradient_weights import GradientWeights


class HiResCAM(GradientWeights):
    """n(up(relu(sum_k g^k A^k))) with g = dy/dA^k at each position (Draelos and Carin, 2020)."""

    def weights(self, features: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        """Weights [B,K,h,w] from A and g, of the same shape."""
        return gradients
