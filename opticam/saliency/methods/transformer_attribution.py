"""TIBAV: attention weighted by its gradient and its relevance, followed through all blocks."""

from __future__ import annotations

import torch
from torch import nn

from opticam.hooks import recording_calls
from opticam.saliency.methods.attention_method import AttentionMethod
from opticam.saliency.methods.attention_rollout import rollout
from opticam.saliency.targets import Score
from opticam.vit.attention import Attention, check_blocks, check_tokens, recording_attention
from opticam.vit.blocks import Block, class_head, transformer_blocks
from opticam.vit.relevance import through_linear, through_product, through_sum

Calls = dict[nn.Module, tuple[torch.Tensor, torch.Tensor]]


class TransformerAttribution(AttentionMethod):
    """The product over blocks of I + E_h[(dy/dA * R)^+] (Chefer, Gur and Wolf, CVPR 2021, eqs. 13 and 14).

    A is a block's attention, R the relevance of A propagated from the class's logit through every layer
    above it (`opticam.vit.relevance`), E_h the mean over heads. Norms and activations pass relevance as it is; so do
    rotary embeddings of queries and keys, of which the paper says nothing. The network itself runs, at whatever level
    the classifier is, because the rules read its weights.

    For torchvision's and timm's vision transformers of pre-norm blocks, whose logits are one linear layer on the class
    token; ValueError for others, when called where only a pass tells.
    """

    @classmethod
    def check_network(cls, network: nn.Module) -> None:
        """Raise ValueError unless the network is a transformer of a build whose layers are known."""
        super().check_network(network)
        transformer_blocks(network)
        class_head(network)

    def token_relevance(self, images: torch.Tensor, score: Score) -> torch.Tensor:
        """Relevance [B,N,N] of token j to token i."""
        network, classifier = self.classifier.network, self.classifier.exact()
        blocks, head = transformer_blocks(network), class_head(network)
        read = [head, *(part for block in blocks for part in _parts_to_read(block))]
        with torch.enable_grad(), recording_attention(network) as attention, recording_calls(read) as calls:
            logits = classifier(images.detach().requires_grad_())  # so that attention is part of a graph
            check_blocks(attention, network)
            check_tokens(attention, network, images)
            _check_norms(blocks, calls)
            probabilities = [record.probabilities for record in attention]
            of_logits, *gradients = torch.autograd.grad(score(logits).sum(), [logits, *probabilities])
        with torch.no_grad():
            relevance = _of_tokens(
                through_linear(of_logits, calls[head][0], head.weight), calls[blocks[-1].module]
            )
            relevances = _through_blocks(relevance, blocks, attention, calls)
            return rollout([_matrix(*pair) for pair in zip(gradients, relevances)])


def _parts_to_read(block: Block) -> tuple[nn.Module, ...]:
    return block.module, block.norm1, block.norm2, block.fc2


def _check_norms(blocks: list[Block], calls: Calls) -> None:
    """Raise ValueError unless the first norm of every block reads the block's input."""
    for block in blocks:
        if not torch.equal(calls[block.norm1][0], calls[block.module][0]):
            raise ValueError(
                f"classifier: {type(block.module).__name__} does not normalise its input before attention; TIBAV needs "
                "pre-norm blocks"
            )


def _of_tokens(of_class_token: torch.Tensor, last_call: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    """Relevance [B,N,D] of the last block's tokens: all of it at the class token."""
    relevance = torch.zeros_like(last_call[1])
    relevance[:, 0] = of_class_token
    return relevance


def _through_blocks(
    relevance: torch.Tensor, blocks: list[Block], attention: list[Attention], calls: Calls
) -> list[torch.Tensor]:
    """Relevance of each block's attention [B,h,N,N], first block first."""
    relevances: list[torch.Tensor] = []
    for block, record in zip(reversed(blocks), reversed(attention)):
        relevance, of_attention = through_block(relevance, block, record, calls)
        relevances.insert(0, of_attention)
    return relevances


def through_block(
    relevance: torch.Tensor, block: Block, attention: Attention, calls: Calls
) -> tuple[torch.Tensor, torch.Tensor]:
    """From the relevance of a block's output [B,N,D] to that of its input and of its attention [B,h,N,N]."""
    inputs, outputs = calls[block.module]
    middle, normed = calls[block.norm2]
    to_middle, to_mlp = through_sum(relevance, middle, outputs - middle)
    to_mlp = through_linear(to_mlp, calls[block.fc2][0], block.fc2.weight)
    relevance = to_middle + through_linear(to_mlp, normed, block.fc1.weight)
    to_inputs, to_branch = through_sum(relevance, inputs, middle - inputs)
    to_branch, of_attention = _through_attention(to_branch, block, attention, calls[block.norm1][1])
    return to_inputs + to_branch, of_attention


def _through_attention(
    relevance: torch.Tensor, block: Block, attention: Attention, normed: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    context = attention.probabilities @ attention.values
    of_context = through_linear(relevance, _merge_heads(context), block.projection_weight)
    of_context = of_context.unflatten(2, (context.shape[1], -1)).transpose(1, 2)
    of_attention, of_values = through_product(of_context, attention.probabilities, attention.values)
    transposed_keys = attention.keys.transpose(-2, -1)
    of_queries, of_keys = through_product(of_attention, attention.queries, transposed_keys)
    parts = (of_queries, of_keys.transpose(-2, -1), of_values)
    of_qkv = torch.cat([_merge_heads(part) for part in parts], 2)
    return through_linear(of_qkv, normed, block.qkv_weight), of_attention


def _merge_heads(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.transpose(1, 2).flatten(2)


def _matrix(gradient: torch.Tensor, relevance: torch.Tensor) -> torch.Tensor:
    positive = (gradient * relevance).clamp(min=0).mean(1)
    return positive + torch.eye(positive.shape[-1], dtype=positive.dtype, device=positive.device)
