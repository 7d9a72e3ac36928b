"""Convolutions whose weights do not change: a forward, its gradient by the images, and the gradient of that."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import nn

Sizes = tuple[int, ...]


class FrozenConvolution(nn.Conv2d):
    """A convolution in place of a frozen `nn.Conv2d`: images [B,K,h,w], differentiable in them alone.

    Shares the weights of the one it stands for. Inputs are taken to their dtype. Subclasses keep them in the layout
    that their kernel reads, which is made at first use and neither copied nor saved.
    """

    padding: Sizes

    def __init__(self, convolution: nn.Conv2d) -> None:
        sizes = convolution.in_channels, convolution.out_channels
        options: dict[str, Any] = {
            "kernel_size": convolution.kernel_size,
            "stride": convolution.stride,
            "padding": convolution.padding,
            "dilation": convolution.dilation,
        }
        super().__init__(*sizes, **options, bias=convolution.bias is not None, device="meta")
        self.weight, self.bias = convolution.weight, convolution.bias
        self.__dict__.update(self.unpacked())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """As `nn.Conv2d`."""
        images = images.to(self.weight.dtype)
        if images.dim() != 4 or not images.numel() or torch.compiler.is_compiling():
            return super().forward(images)
        output: torch.Tensor = _Forward.apply(images, self, True)
        return output

    def __getstate__(self) -> dict[str, Any]:
        """Without the weights in the kernel's layout."""
        return {**self.__dict__, **self.unpacked()}

    @abstractmethod
    def unpacked(self) -> dict[str, None]:
        """The attributes that hold weights in the kernel's layout, as they are before there are any."""

    @abstractmethod
    def convolve(self, images: torch.Tensor, with_bias: bool) -> torch.Tensor:
        """The convolution itself, without a graph."""

    @abstractmethod
    def transpose(self, gradient: torch.Tensor, shape: Sizes) -> torch.Tensor:
        """The gradient of an input of this shape from that of the output."""


class _Forward(torch.autograd.Function):
    """The convolution; its gradient is `_Transpose`, whose gradient is this again, without the bias."""

    @staticmethod
    def forward(images: torch.Tensor, convolution: FrozenConvolution, with_bias: bool) -> torch.Tensor:
        return convolution.convolve(images, with_bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        images, ctx.convolution, _ = inputs
        ctx.shape = tuple(images.shape)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        if torch.is_grad_enabled():  # somebody differentiates the gradient
            return _Transpose.apply(gradient, ctx.convolution, ctx.shape), None, None
        return ctx.convolution.transpose(gradient, ctx.shape), None, None


class _Transpose(torch.autograd.Function):
    @staticmethod
    def forward(gradient: torch.Tensor, convolution: FrozenConvolution, shape: Sizes) -> torch.Tensor:
        return convolution.transpose(gradient, shape)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        _, ctx.convolution, _ = inputs

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return _Forward.apply(gradient, ctx.convolution, False), None, None
