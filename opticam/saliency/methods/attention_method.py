"""What the attention methods share: a relevance of each token, read at the class token, laid out as a map."""

from __future__ import annotations

from abc import abstractmethod

import torch

from opticam.classifier import Classifier
from opticam.masking import upsample_and_normalize
from opticam.saliency.base import SaliencyMethod
from opticam.saliency.targets import Score
from opticam.vit.blocks import has_class_token, is_transformer
from opticam.vit.tokens import tokens_to_map


class AttentionMethod(SaliencyMethod):
    """n(up(r)) with r the relevance of the patch tokens to the class token; for transformers only.

    Raises ValueError for a network without self-attention or without a class token.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__(classifier)
        if not self.applies_to(classifier):
            raise ValueError(
                f"classifier: {type(self).__name__} needs a vision transformer with a class token, "
                f"not {type(classifier.network).__name__}"
            )

    @classmethod
    def applies_to(cls, classifier: Classifier) -> bool:
        """Whether the network is a transformer with a class token."""
        return is_transformer(classifier.network) and has_class_token(classifier.network)

    def compute(self, images: torch.Tensor, score: Score) -> torch.Tensor:
        """Maps [B,H,W] from the class token's row of `token_relevance`."""
        rows = self.token_relevance(images, score)[:, 0]
        height, width = images.shape[-2:]
        size = height, width
        maps = tokens_to_map(rows[:, :, None], self.classifier.network, size).squeeze(1)
        return upsample_and_normalize(maps.detach(), size)

    @abstractmethod
    def token_relevance(self, images: torch.Tensor, score: Score) -> torch.Tensor:
        """Relevance [B,N,N] of token j to token i."""
