"""Turn a transformer's token sequence into a feature map."""

from __future__ import annotations

import math

import torch
from torch import nn

from opticam.layers import inner_network


def prefix_tokens(network: nn.Module) -> int:
    """Number of leading tokens that are not image patches (class token, distillation token, registers).

    timm states it as ``num_prefix_tokens``; torchvision's VisionTransformer has one class token.
    """
    network = inner_network(network)
    return int(getattr(network, "num_prefix_tokens", 1 if hasattr(network, "class_token") else 0))


def patch_grid(network: nn.Module, tokens: int, image_size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns of the patch grid of `tokens` patches from an image of `image_size` (H, W) pixels.

    Taken from the patch size where the network states one, otherwise the grid of the image's aspect ratio.
    Raises ValueError when no grid has that many cells.
    """
    network = inner_network(network)
    patch_size = getattr(network, "patch_size", None)
    if patch_size is None and hasattr(network, "patch_embed"):
        patch_size = getattr(network.patch_embed, "patch_size", None)
    if patch_size is not None:
        ph, pw = (patch_size, patch_size) if isinstance(patch_size, int) else patch_size
        grid = (image_size[0] // ph, image_size[1] // pw)
        if grid[0] * grid[1] == tokens:
            return grid
    rows = round(math.sqrt(tokens * image_size[0] / image_size[1]))
    if rows < 1 or tokens % rows:
        raise ValueError(
            f"target_layer: {tokens} patch tokens form no grid for an image of {image_size}; "
            "give Classifier(reshape=...) a function from the layer's output to [B,K,h,w]"
        )
    return rows, tokens // rows


def tokens_to_map(output: torch.Tensor, network: nn.Module, image_size: tuple[int, int]) -> torch.Tensor:
    """Feature map [B,K,h,w] of a token sequence [B,N,K]: prefix tokens dropped, patches laid on their grid."""
    patches = output[:, prefix_tokens(network) :]
    rows, columns = patch_grid(network, patches.shape[1], image_size)
    maps: torch.Tensor = patches.transpose(1, 2).unflatten(2, (rows, columns))
    return maps
