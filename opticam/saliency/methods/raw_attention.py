"""Raw attention: where the class token looks in the last block."""

from __future__ import annotations

import torch

from opticam.saliency.methods.attention_method import AttentionMethod
from opticam.saliency.targets import Score


class RawAttention(AttentionMethod):
    """The class token's attention in the last block, averaged over heads; the same for every class."""

    def token_relevance(self, images: torch.Tensor, score: Score) -> torch.Tensor:
        """Attention [B,N,N] of the last block, mean over heads."""
        return self.recorded(images, slice(-1, None))[0].mean_over_heads()
