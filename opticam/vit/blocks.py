"""The parts of a vision transformer, named alike for torchvision and timm."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from opticam.outputs import inner_network


@dataclass(frozen=True)
class Block:
    """A pre-norm block x + attention(norm1(x)), then y + mlp(norm2(y)) with mlp = fc2(gelu(fc1)).

    qkv_weight [3D,D] and projection_weight [D,D] are those of the attention.
    """

    module: nn.Module
    norm1: nn.Module
    qkv_weight: torch.Tensor
    projection_weight: torch.Tensor
    norm2: nn.Module
    fc1: nn.Linear
    fc2: nn.Linear


def is_transformer(network: nn.Module) -> bool:
    """Whether the network has self-attention over tokens."""
    return any(is_attention(module) for module in network.modules())


def has_class_token(network: nn.Module) -> bool:
    """Whether the network's first token is a class token, which attention maps are read from."""
    network = inner_network(network)
    return (
        getattr(network, "class_token", None) is not None or getattr(network, "cls_token", None) is not None
    )


def transformer_blocks(network: nn.Module) -> list[Block]:
    """The blocks of a torchvision VisionTransformer or a timm vision transformer, in order.

    Raises ValueError for a network of another build.
    """
    network = inner_network(network)
    parts: Any = network
    try:
        if hasattr(network, "encoder"):
            return [_torchvision_block(block) for block in parts.encoder.layers]
        return [_timm_block(block) for block in parts.blocks]
    except (AttributeError, TypeError, ValueError):
        raise ValueError(
            f"classifier: {type(network).__name__} has no blocks of norm, attention, norm and two linear "
            "layers as in torchvision's and timm's vision transformers"
        ) from None


def stated_blocks(network: nn.Module) -> int | None:
    """How many blocks stand where torchvision's and timm's vision transformers keep theirs; None without a list."""
    network = inner_network(network)
    blocks = getattr(getattr(network, "encoder", None), "layers", getattr(network, "blocks", None))
    return len(blocks) if isinstance(blocks, nn.Sequential | nn.ModuleList) else None


def class_head(network: nn.Module) -> nn.Linear:
    """The one linear layer from the class token to the logits; ValueError where there is none or more."""
    network = inner_network(network)
    heads = getattr(network, "heads", getattr(network, "head", nn.Identity()))
    linear = [module for module in heads.modules() if isinstance(module, nn.Linear)]
    pooled = getattr(network, "global_pool", "token") != "token" or hasattr(network, "head_dist")
    if len(linear) != 1 or pooled:
        raise ValueError(
            f"classifier: the logits of {type(network).__name__} are not one linear layer on its class token"
        )
    return linear[0]


def is_attention(module: nn.Module) -> bool:
    """Whether a module is a self-attention, by its class or by the parts that timm's layers have."""
    parts = ("qkv", "proj", "num_heads", "scale")
    return isinstance(module, nn.MultiheadAttention) or all(hasattr(module, part) for part in parts)


def _torchvision_block(block: Any) -> Block:
    attention = block.self_attention
    weights = attention.in_proj_weight.detach(), attention.out_proj.weight.detach()
    return Block(block, block.ln_1, *weights, block.ln_2, *_linear_layers(block.mlp))


def _timm_block(block: Any) -> Block:
    weights = block.attn.qkv.weight.detach(), block.attn.proj.weight.detach()
    return Block(block, block.norm1, *weights, block.norm2, *_linear_layers(block.mlp))


def _linear_layers(mlp: nn.Module) -> tuple[nn.Linear, nn.Linear]:
    fc1, fc2 = (module for module in mlp.modules() if isinstance(module, nn.Linear))
    if fc1.out_features != fc2.in_features:
        raise ValueError("a gate between the two linear layers")
    return fc1, fc2
