"""Attention rollout: attention followed through all blocks."""

from __future__ import annotations

import torch

from opticam.saliency.methods.attention_method import AttentionMethod
from opticam.saliency.targets import Score


class AttentionRollout(AttentionMethod):
    """The product over blocks of (A + I) with rows summing to one, A the attention averaged over heads.

    I stands for the skip connection (Abnar and Zuidema, 2020). The same for every class.
    """

    def token_relevance(self, images: torch.Tensor, score: Score) -> torch.Tensor:
        """Rollout [B,N,N], rows summing to one."""
        return rollout([_with_skip(record.mean_over_heads()) for record in self.recorded(images)])


def rollout(matrices: list[torch.Tensor]) -> torch.Tensor:
    """The product of the blocks' matrices [B,N,N], the last block's on the left."""
    product = matrices[0]
    for matrix in matrices[1:]:
        product = matrix @ product
    return product


def _with_skip(attention: torch.Tensor) -> torch.Tensor:
    mixed = attention + torch.eye(attention.shape[-1], dtype=attention.dtype, device=attention.device)
    return mixed / mixed.sum(-1, keepdim=True)
