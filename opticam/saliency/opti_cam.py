"""Opti-CAM: the map whose masked image keeps the class score, found by optimisation for each image."""

from __future__ import annotations

import torch

from opticam.classifier import Classifier
from opticam.masking import saliency_mask
from opticam.saliency.base import SaliencyMethod
from opticam.saliency.targets import Score


class OptiCAM(SaliencyMethod):
    """Softmax weights of the feature maps, optimised so that the masked image scores high (Opti-CAM, section 3).

    S = sum_k softmax(u)_k A^k (eq. 8); the map is n(up(S)); u maximises g(f(x * n(up(S)))) (eq. 10, "Mask")
    by Adam from u = 0, which is the mean of the channels. The last iterate is returned. The loss is a sum
    over images and Adam works element by element, so batching changes no image's map.

    iterations: Adam steps; the papers use 100 (50 in some tables). learning_rate: 0.1 in the paper.
    normalization: n, "range" (eq. 4), "max" or "sigmoid" (Table 6).
    relu_features: clip the feature maps at zero first, as the authors' code does; the paper does not.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        iterations: int = 100,
        learning_rate: float = 0.1,
        normalization: str = "range",
        relu_features: bool = False,
    ) -> None:
        super().__init__(classifier)
        if iterations < 0:
            raise ValueError(f"iterations: must be 0 or more, got {iterations}")
        if learning_rate <= 0:
            raise ValueError(f"learning_rate: must be positive, got {learning_rate}")
        self.iterations = iterations
        self.learning_rate = learning_rate
        self.normalization = normalization
        self.relu_features = relu_features

    def compute(self, images: torch.Tensor, score: Score) -> torch.Tensor:
        """Maps [B,H,W] after the last iteration."""
        features = self.classifier.features(images)
        if self.relu_features:
            features = features.relu()
        logits_u = features.new_zeros(features.shape[:2], requires_grad=True)
        adam = torch.optim.Adam([logits_u], lr=self.learning_rate, maximize=True)
        for _ in range(self.iterations):
            with torch.enable_grad():
                masked, _ = saliency_mask(features, logits_u, images, self.normalization)
                objective = score(self.classifier(masked)).sum()
            (logits_u.grad,) = torch.autograd.grad(objective, [logits_u])
            adam.step()
        with torch.no_grad():
            return saliency_mask(features, logits_u, images, self.normalization)[1]
