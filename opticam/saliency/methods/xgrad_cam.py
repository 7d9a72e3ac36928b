"""XGrad-CAM: gradients averaged with the activations as weights."""

from __future__ import annotations

import torch

from opticam.saliency.methods.gradient_weights import GradientWeights

EPSILON = 1e-7
"""Added to the denominator, as in the grad-cam package, whose figures the Opti-CAM paper reports."""


class XGradCAM(GradientWeights):
    """w_k = sum_ij g_ij A^k_ij / sum_ij A^k_ij with g = dy/dA^k (Fu et al., 2020)."""

    def weights(self, features: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        """Weights [B,K,1,1] from A and g, both [B,K,h,w]."""
        total = features.sum((2, 3), keepdim=True)
        return (gradients * features).sum((2, 3), keepdim=True) / (total + EPSILON)
