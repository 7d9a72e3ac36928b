"""Convolutions of a frozen network whose weights stay in the layout that the CPU's kernels read.

oneDNN's kernels read weights in blocks. `conv2d` puts them into blocks in every call, forward and backward, which
at one image costs a quarter of the time of ResNet-50. Here the blocks are kept for as long as the shape of the
input stays the same, because the size of the blocks depends on it.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import nn

Sizes = tuple[int, ...]

_OPERATORS = (  # the ones that torch.compile uses on the CPU; private, so each is looked for
    "_convolution_pointwise",
    "_reorder_convolution_weight",
    "_convolution_transpose_pointwise",
    "_reorder_convolution_transpose_weight",
)


def can_pack(dtype: torch.dtype) -> bool:
    """Whether this build of PyTorch and this processor have the packed kernels for weights of this dtype."""
    if not (torch.backends.mkldnn.enabled and torch.backends.mkldnn.is_available()):
        return False
    if not all(hasattr(torch.ops.mkldnn, name) for name in _OPERATORS):
        return False
    if dtype == torch.bfloat16:
        supported: bool = torch.ops.mkldnn._is_mkldnn_bf16_supported()
        return supported
    return dtype == torch.float32


def pack_convolutions(network: nn.Module) -> int:
    """Replace, in place, the convolutions of a frozen network on the CPU that can be packed; returns how many.

    Names stay, and so does what is shared: a convolution under two names is packed once. Convolutions with groups,
    other paddings than zeros, or a subclass's own code stay as they are.
    """
    named = [pair for pair in network.named_modules(remove_duplicate=False) if _packable(pair[1])]
    packed = {convolution: PackedConvolution(convolution) for _, convolution in named}
    for name, convolution in named:
        network.set_submodule(name, packed[convolution])
    return len(packed)


def _packable(module: nn.Module) -> bool:
    return (
        type(module) is nn.Conv2d
        and module.groups == 1
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and all(p <= reach for p, reach in zip(module.padding, _reaches(module), strict=True))
        and module.weight.device.type == "cpu"
        and can_pack(module.weight.dtype)
        and not torch.nn.utils.parametrize.is_parametrized(module)
    )


def _reaches(convolution: nn.Conv2d) -> list[int]:
    """How far the kernel reaches beyond its first pixel, down and right."""
    return [d * (k - 1) for d, k in zip(convolution.dilation, convolution.kernel_size, strict=True)]


class _Shapes(NamedTuple):
    input: Sizes
    output: Sizes


class PackedConvolution(nn.Conv2d):
    """A frozen convolution with packed weights: images [B,K,h,w] as `nn.Conv2d`, differentiable in them.

    Inputs are taken to the weight's dtype. Weights are packed anew for every shape that differs from the last, which
    takes a third longer than `nn.Conv2d`: so that the last bits depend on the images alone, not on those before.
    """

    padding: tuple[int, ...]

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
        self._forget()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """As `nn.Conv2d`."""
        images = images.to(self.weight.dtype)
        if images.dim() != 4 or not images.numel() or torch.compiler.is_compiling():
            return super().forward(images)
        output: torch.Tensor = _Forward.apply(images, self, True)
        return output

    def __getstate__(self) -> dict[str, Any]:
        """Without the packed weights, which can be neither copied nor saved."""
        return {**self.__dict__, "_shapes": None, "_weight": None, "_transposed": None}

    def _forget(self) -> None:
        self._shapes: _Shapes | None = None
        self._weight: torch.Tensor | None = None
        self._transposed: torch.Tensor | None = None  # made where a gradient is asked for

    def _pack_for(self, shape: Sizes) -> _Shapes:
        if self._shapes is None or self._shapes.input != shape:
            self._forget()
            padded = [side + 2 * p for side, p in zip(shape[2:], self.padding, strict=True)]
            last = [side - reach for side, reach in zip(padded, _reaches(self), strict=True)]
            sides = [(side - 1) // s + 1 for side, s in zip(last, self.stride, strict=True)]
            self._shapes = _Shapes(shape, (shape[0], self.out_channels, *sides))
        return self._shapes

    def convolve(self, images: torch.Tensor, with_bias: bool) -> torch.Tensor:
        """The convolution itself, without a graph."""
        shapes, options = self._pack_for(tuple(images.shape)), (self.padding, self.stride, self.dilation)
        if self._weight is None:
            pack = torch.ops.mkldnn._reorder_convolution_weight
            self._weight = pack(self.weight.detach(), *options, 1, list(shapes.input))
        bias = self.bias.detach() if with_bias and self.bias is not None else None
        output: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
            images, self._weight, bias, *options, 1, "none", [], ""
        )
        return output

    def transpose(self, gradient: torch.Tensor, shape: Sizes) -> torch.Tensor:
        """The gradient of an input of this shape from that of the output."""
        shapes = self._pack_for(shape)
        if self.stride == (1, 1):
            return self._transpose_dense(gradient, shapes)
        covered = [
            (side - 1) * s - 2 * p + reach + 1
            for side, s, p, reach in zip(
                shapes.output[2:], self.stride, self.padding, _reaches(self), strict=True
            )
        ]
        beyond = [side - reached for side, reached in zip(shape[2:], covered, strict=True)]
        options = self.padding, beyond, self.stride, self.dilation, 1
        if self._transposed is None:
            pack = torch.ops.mkldnn._reorder_convolution_transpose_weight
            self._transposed = pack(self.weight.detach(), *options, list(shapes.output))
        kernel = torch.ops.mkldnn._convolution_transpose_pointwise
        transposed: torch.Tensor = kernel(gradient, self._transposed, None, *options, "none", [], "")
        return transposed

    def _transpose_dense(self, gradient: torch.Tensor, shapes: _Shapes) -> torch.Tensor:
        """At stride 1 the transposed convolution is one with the turned kernel, which is faster."""
        turned_padding = [reach - p for reach, p in zip(_reaches(self), self.padding, strict=True)]
        options = turned_padding, self.stride, self.dilation
        if self._transposed is None:
            turned = (
                self.weight.detach().transpose(0, 1).flip(2, 3).contiguous(memory_format=torch.channels_last)
            )
            pack = torch.ops.mkldnn._reorder_convolution_weight
            self._transposed = pack(turned, *options, 1, list(shapes.output))
        transposed: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
            gradient, self._transposed, None, *options, 1, "none", [], ""
        )
        return transposed


class _Forward(torch.autograd.Function):
    """The convolution; its gradient is `_Transpose`, whose gradient is this again, without the bias."""

    @staticmethod
    def forward(images: torch.Tensor, convolution: PackedConvolution, with_bias: bool) -> torch.Tensor:
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
    def forward(gradient: torch.Tensor, convolution: PackedConvolution, shape: Sizes) -> torch.Tensor:
        return convolution.transpose(gradient, shape)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        _, ctx.convolution, _ = inputs

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return _Forward.apply(gradient, ctx.convolution, False), None, None
