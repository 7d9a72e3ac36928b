"""Score-CAM: channels weighted by the score of the image that each of them masks."""

from __future__ import annotations

import torch

from opticam.classifier import Classifier
from opticam.masking import channel_masks
from opticam.saliency.targets import Score
from opticam.saliency.variants import check_max_batch, score_variants
from opticam.saliency.weighted_features import WeightedFeatures


class ScoreCAM(WeightedFeatures):
    """w = softmax_k( y_c(x * n(up A^k)) ), one forward pass a channel (Wang et al., 2020).

    The softmax runs over the logits of the class, as in the grad-cam package, whose figures the Opti-CAM
    paper reports; the first authors' code sums probabilities instead. A constant channel masks everything.

    max_batch: most masked images in one forward pass, over all images of the batch; it bounds the memory.
    """

    def __init__(self, classifier: Classifier, *, max_batch: int = 32) -> None:
        super().__init__(classifier)
        self.max_batch = check_max_batch(max_batch)

    @torch.no_grad()
    def weigh(self, images: torch.Tensor, score: Score) -> tuple[torch.Tensor, torch.Tensor]:
        """Weights [B,K,1,1] from K forward passes an image."""
        features = self.classifier.features(images)
        together = max(1, self.max_batch // len(images))
        scores = [
            score_variants(score, self._masked_logits(features, images, channels))
            for channels in torch.arange(features.shape[1]).split(together)
        ]
        return features, torch.cat(scores, 1).softmax(1)[:, :, None, None]

    def _masked_logits(
        self, features: torch.Tensor, images: torch.Tensor, channels: torch.Tensor
    ) -> torch.Tensor:
        """Logits [B,k,C] of each image under the masks of k channels."""
        parts = zip(features.split(self.max_batch), images.split(self.max_batch))
        masked = (channel_masks(*part, channels).flatten(0, 1) for part in parts)
        return torch.cat([self.classifier(batch) for batch in masked]).unflatten(0, (-1, len(channels)))
