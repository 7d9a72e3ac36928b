"""What the attention methods share: a relevance of each token, read at the class token, laid out as a map."""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import nn

from opticam.classifier import Classifier
from opticam.masking import upsample_and_normalize
from opticam.saliency.base import SaliencyMethod
from opticam.saliency.targets import Score
from opticam.vit.attention import Attention, check_blocks, check_tokens, recording_attention
from opticam.vit.blocks import has_class_token, is_transformer
from opticam.vit.tokens import tokens_to_map


class AttentionMethod(SaliencyMethod):
    """n(up(r)) with r the relevance of the patch tokens to the class token; for transformers only.

    Raises ValueError for a network without self-attention or without a class token; when called, also for one whose
    attention is not that of a class token and the patches to each other, in every block that is read, or that does not
    have one attention a block, all of which can be read.
    """

    def __init__(self, classifier: Classifier) -> None:
        super().__init__(classifier)
        self.check_network(classifier.network)

    @classmethod
    def applies_to(cls, classifier: Classifier) -> bool:
        """Whether the network is of a build that the method is defined for."""
        try:
            cls.check_network(classifier.network)
        except ValueError:
            return False
        return True

    @classmethod
    def check_network(cls, network: nn.Module) -> None:
        """Raise ValueError unless the network is a transformer with a class token."""
        if not (is_transformer(network) and has_class_token(network)):
            raise ValueError(
                f"classifier: {cls.__name__} needs a vision transformer with a class token, "
                f"not {type(network).__name__}"
            )

    def compute(self, images: torch.Tensor, score: Score) -> torch.Tensor:
        """Maps [B,H,W] from the class token's row of `token_relevance`."""
        rows = self.token_relevance(images, score)[:, 0]
        height, width = images.shape[-2:]
        size = height, width
        maps = tokens_to_map(rows[:, :, None], self.classifier.network, size).squeeze(1)
        return upsample_and_normalize(maps.detach(), size)

    @torch.no_grad()
    def recorded(self, images: torch.Tensor, blocks: slice = slice(None)) -> list[Attention]:
        """The attention [B,h,N,N] of some of the network's blocks, first block first."""
        with self.classifier.running(images) as prepared, recording_attention(prepared.network) as records:
            self.classifier(images)
            check_tokens(records[blocks], self.classifier.network, images)
            check_blocks(records, self.classifier.network)
        return records[blocks]

    @abstractmethod
    def token_relevance(self, images: torch.Tensor, score: Score) -> torch.Tensor:
        """Relevance [B,N,N] of token j to token i."""
