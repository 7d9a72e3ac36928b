"""Grad-CAM++: channels weighted by their positive gradients, positions by a closed form."""

from __future__ import annotations

import torch

from opticam.saliency.methods.gradient_weights import GradientWeights

EPSILON = 1e-6
"""Added to the denominator, as in the grad-cam package, whose figures the Opti-CAM paper reports."""


class GradCAMPlusPlus(GradientWeights):
    """w_k = sum_ij a_ij relu(g_ij) with a = g^2 / (2 g^2 + g^3 sum A^k) (Chattopadhay et al., 2018).

    g = dy/dA^k. The higher derivatives are those of exp(y), which is how the original arrives at powers of
    the first; a is 0 where g is 0.
    """

    def weights(self, features: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
        """Weights [B,K,1,1] from A and g, both [B,K,h,w]."""
        squared = gradients.square()
        total = features.sum((2, 3), keepdim=True)
        shares = squared / (2 * squared + total * squared * gradients + EPSILON)
        return (gradients.relu() * shares).sum((2, 3), keepdim=True)
