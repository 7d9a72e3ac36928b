"""Grad-CAM: channels weighted by their mean gradient."""

from __future__ import annotations

import torch

from opticam.masking import upsample_and_normalize
from opticam.saliency.base import SaliencyMethod
from opticam.saliency.targets import Score


class GradCAM(SaliencyMethod):
    """n(up(relu(sum_k w_k A^k))) with w_k the mean over positions of dy/dA^k (Selvaraju et al., 2017)."""

    def compute(self, images: torch.Tensor, score: Score) -> torch.Tensor:
        """Maps [B,H,W] from one forward pass and the gradient of the layers behind the target layer."""
        features, gradients, _ = self.classifier.gradients(images, score)
        weights = gradients.mean((2, 3))
        combined = torch.einsum("bk,bkhw->bhw", weights, features).relu()
        return upsample_and_normalize(combined, tuple(images.shape[-2:]))
