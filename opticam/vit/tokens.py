"""Turn a transformer's token sequence into a feature map."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import nn

from opticam.outputs import channels_first, inner_network, is_grid


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
    stated = stated_grid(network, image_size)
    if stated is not None and stated[0] * stated[1] == tokens:
        return stated
    rows = round(math.sqrt(tokens * image_size[0] / image_size[1]))
    if rows < 1 or tokens % rows:
        raise ValueError(
            f"target_layer: {tokens} patch tokens form no grid for an image of {image_size}; "
            "give Classifier(reshape=...) a function from the layer's output to [B,K,h,w]"
        )
    return rows, tokens // rows


def stated_grid(network: nn.Module, image_size: tuple[int, int]) -> tuple[int, int] | None:
    """Rows and columns of the patches of an image, from the patch size that the network states; None without one."""
    network = inner_network(network)
    patch_size = getattr(network, "patch_size", None)
    if patch_size is None and hasattr(network, "patch_embed"):
        patch_size = getattr(network.patch_embed, "patch_size", None)
    if patch_size is None:
        return None
    ph, pw = (patch_size, patch_size) if isinstance(patch_size, int) else patch_size
    return image_size[0] // ph, image_size[1] // pw


def laid_out(output: Any, network: nn.Module, image_size: tuple[int, int]) -> Any:
    """A layer's output as [B,K,h,w]: tokens on their grid, channels first; anything else as it is.

    Raises ValueError for tokens that form no grid.
    """
    rank = output.dim() if isinstance(output, torch.Tensor) else 0
    if rank == 3:
        return tokens_to_map(output, network, image_size)
    return channels_first(output, image_size) if rank == 4 else output


def tokens_to_map(output: torch.Tensor, network: nn.Module, image_size: tuple[int, int]) -> torch.Tensor:
    """Feature map [B,K,h,w] of a token sequence [B,N,K]: prefix tokens dropped, patches laid on their grid."""
    patches = output[:, leading_tokens(output.shape[1], network, image_size) :]
    rows, columns = patch_grid(network, patches.shape[1], image_size)
    maps: torch.Tensor = patches.transpose(1, 2).unflatten(2, (rows, columns))
    return maps


def leading_tokens(tokens: int, network: nn.Module, image_size: tuple[int, int]) -> int:
    """How many of a layer's tokens are no patches.

    None where there are as many tokens as patches: some networks (CaiT) add the class token behind the patches'
    blocks. What a network states, where that leaves a grid of squares; otherwise up to two more.
    """
    stated = stated_grid(network, image_size)
    if stated is not None and stated[0] * stated[1] == tokens:
        return 0
    known = prefix_tokens(network)
    return next((n for n in range(known, known + 3) if _forms_grid(tokens - n, network, image_size)), known)


def _forms_grid(patches: int, network: nn.Module, image_size: tuple[int, int]) -> bool:
    try:
        return is_grid(*patch_grid(network, patches, image_size), image_size)
    except ValueError:
        return False
