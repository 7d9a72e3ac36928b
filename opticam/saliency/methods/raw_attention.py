"""Raw attention: where the class token looks in the last block."""

from __future__ import annotations

import torch

from opticam.saliency.methods.attention_method import AttentionMethod
from opticam.saliency.targets import Score
from opticam.vit.attention import recording_attention


class RawAttention(AttentionMethod):
    """The class token's attention in the last block, averaged over heads; the same for every class."""

    @torch.no_grad()
    def token_relevance(self, images: torch.Tensor, score: Score) -> torch.Tensor:
        """Attention [B,N,N] of the last block, mean over heads."""
        with self.classifier.running(images) as prepared, recording_attention(prepared.network) as records:
            self.classifier(images)
        return records[-1].mean_over_heads()
