"""The parts of a vision transformer, named alike for torchvision and timm."""

from __future__ import annotations

from torch import nn


def attention_layers(network: nn.Module) -> list[nn.Module]:
    """The self-attention modules in order: torchvision's nn.MultiheadAttention, timm's and DeiT's Attention."""
    return [module for module in network.modules() if _is_attention(module)]


def is_transformer(network: nn.Module) -> bool:
    """Whether the network has self-attention over tokens."""
    return bool(attention_layers(network))


def _is_attention(module: nn.Module) -> bool:
    parts = ("qkv", "proj", "num_heads", "scale")
    return isinstance(module, nn.MultiheadAttention) or all(hasattr(module, part) for part in parts)
