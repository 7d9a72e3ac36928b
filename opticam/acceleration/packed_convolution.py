"""Convolutions of a frozen network whose weights stay in the layout that the CPU's kernels read.

oneDNN's kernels read weights in blocks. `conv2d` puts them into blocks in every call, forward and backward, which
at one image costs a quarter of the time of ResNet-50. Here the blocks are kept for as long as the shape of the
input stays the same, because the size of the blocks depends on it.
"""

from __future__ import annotations

from typing import NamedTuple, cast

import torch
from torch import nn

from opticam.acceleration.frozen_convolution import FrozenConvolution, Sizes

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


def packable(convolution: nn.Conv2d) -> bool:
    """Whether oneDNN's packed kernels take its weights and its padding, which is given in pixels."""
    padding = cast(Sizes, convolution.padding)
    within = all(p <= reach for p, reach in zip(padding, _reaches(convolution), strict=True))
    return within and can_pack(convolution.weight.dtype)


def _reaches(convolution: nn.Conv2d) -> list[int]:
    """How far the kernel reaches beyond its first pixel, down and right."""
    return [d * (k - 1) for d, k in zip(convolution.dilation, convolution.kernel_size, strict=True)]


class _Packed(NamedTuple):
    """Weights for one shape of input, each packed where it is first asked for."""

    input: Sizes
    output: Sizes
    weight: torch.Tensor | None = None
    transposed: torch.Tensor | None = None


class PackedConvolution(FrozenConvolution):
    """A frozen convolution with weights in oneDNN's blocks.

    Weights are packed anew for every shape that differs from the last, which takes a third longer than `nn.Conv2d`:
    so that the last bits depend on the images alone, not on those before.
    """

    # Replaced as a whole: backward passes of several threads read and write it at once.
    _packed: _Packed | None

    def unpacked(self) -> dict[str, None]:
        """No shape yet, no weights; those for the gradient are made where one is asked for."""
        return {"_packed": None}

    def _packed_for(self, shape: Sizes) -> _Packed:
        packed = self._packed
        if packed is None or packed.input != shape:
            padded = [side + 2 * p for side, p in zip(shape[2:], self.padding, strict=True)]
            last = [side - reach for side, reach in zip(padded, _reaches(self), strict=True)]
            sides = [(side - 1) // s + 1 for side, s in zip(last, self.stride, strict=True)]
            self._packed = packed = _Packed(shape, (shape[0], self.out_channels, *sides))
        return packed

    def convolve(self, images: torch.Tensor, with_bias: bool) -> torch.Tensor:
        """The convolution itself, without a graph."""
        packed, options = self._packed_for(tuple(images.shape)), (self.padding, self.stride, self.dilation)
        weight = packed.weight
        if weight is None:
            pack = torch.ops.mkldnn._reorder_convolution_weight
            weight = pack(self.weight.detach(), *options, 1, list(packed.input))
            self._packed = packed._replace(weight=weight)
        bias = self.bias.detach() if with_bias and self.bias is not None else None
        output: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
            images, weight, bias, *options, 1, "none", [], ""
        )
        return output

    def transpose(self, gradient: torch.Tensor, shape: Sizes) -> torch.Tensor:
        """The gradient of an input of this shape from that of the output."""
        packed = self._packed_for(shape)
        if self.stride == (1, 1):
            return self._transpose_dense(gradient, packed)
        covered = [
            (side - 1) * s - 2 * p + reach + 1
            for side, s, p, reach in zip(
                packed.output[2:], self.stride, self.padding, _reaches(self), strict=True
            )
        ]
        beyond = [side - reached for side, reached in zip(shape[2:], covered, strict=True)]
        options = self.padding, beyond, self.stride, self.dilation, 1
        weight = packed.transposed
        if weight is None:
            pack = torch.ops.mkldnn._reorder_convolution_transpose_weight
            weight = pack(self.weight.detach(), *options, list(packed.output))
            self._packed = packed._replace(transposed=weight)
        kernel = torch.ops.mkldnn._convolution_transpose_pointwise
        transposed: torch.Tensor = kernel(gradient, weight, None, *options, "none", [], "")
        return transposed

    def _transpose_dense(self, gradient: torch.Tensor, packed: _Packed) -> torch.Tensor:
        """At stride 1 the transposed convolution is one with the turned kernel, which is faster."""
        turned_padding = [reach - p for reach, p in zip(_reaches(self), self.padding, strict=True)]
        options = turned_padding, self.stride, self.dilation
        weight = packed.transposed
        if weight is None:
            turned = (
                self.weight.detach().transpose(0, 1).flip(2, 3).contiguous(memory_format=torch.channels_last)
            )
            pack = torch.ops.mkldnn._reorder_convolution_weight
            weight = pack(turned, *options, 1, list(packed.output))
            self._packed = packed._replace(transposed=weight)
        transposed: torch.Tensor = torch.ops.mkldnn._convolution_pointwise(
            gradient, weight, None, *options, 1, "none", [], ""
        )
        return transposed
