"""Global average pooling of a frozen network, whose gradient has the layout of the features before it.

PyTorch's gradient of a mean lies channel by channel, whatever the features: the activation before it then reads two
tensors in two orders, which takes ten times as long as in one, and its gradient is copied for the convolution before.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn


class GlobalPooling(nn.AdaptiveAvgPool2d):
    """The mean over all pixels: [B,C,h,w] -> [B,C,1,1], differentiable."""

    def __init__(self) -> None:
        super().__init__(1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """As `nn.AdaptiveAvgPool2d`."""
        if features.dim() != 4 or torch.compiler.is_compiling():
            return super().forward(features)
        pooled: torch.Tensor = _Mean.apply(features)
        return pooled


def pool_in_layout(network: nn.Module) -> None:
    """Replace, in place, every global average pooling of PyTorch's own class."""
    for name, module in list(network.named_modules(remove_duplicate=False)):
        if type(module) is nn.AdaptiveAvgPool2d and module.output_size in (1, (1, 1)):
            network.set_submodule(name, GlobalPooling())


class _Mean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: torch.Tensor) -> torch.Tensor:
        ctx.shape = features.shape
        mean: torch.Tensor = features.mean((2, 3), keepdim=True)
        return mean

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        share = gradient / (ctx.shape[2] * ctx.shape[3])
        # One number a channel, which takes no memory: it has no layout of its own.
        everywhere: torch.Tensor = share.expand(ctx.shape)
        return everywhere
