"""Grad-CAM: channels weighted by their mean gradient."""

from __future__ import annotations

import torch

from opticam.saliency.methods.gradient_weights import GradientWeights


class GradCAM(GradientWeights):
    """n(up(relu(sum_k w_k A^k))) with w_k the mean over positions of dy/dA^k (Selvaraju et al., 2017)."""

    def weights(self, features: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        """Weights [B,K,1,1] from A and g, both [B,K,h,w]."""
        return gradients.mean((2, 3), keepdim=True)
