"""Float64 convolutions of a frozen network by the project's own kernels, csrc/opticam/cpu/*convolution.cpp.

PyTorch has no kernel for them on the CPU: it writes out the neighbourhood of each pixel and calls a matrix product for
each image. These add up in the same order on every processor with fused multiply-add, so that their results are equal
to the last bit. Of 3 x 3 in steps of 1, the second one takes tiles of 2 x 2 outputs and 16 products in place of 36.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from opticam.acceleration.frozen_convolution import FrozenConvolution, Sizes
from opticam.masking import ops

LANES = 16  # output channels in a block of weights: CONVOLUTION_LANES of csrc/opticam/cpu/loops.h
LEAST_CHANNELS = 32  # in and out: with fewer, making and reading tiles takes longer than they save


def computable(convolution: nn.Conv2d) -> bool:
    """Whether its weights are float64 and the extension is there."""
    return convolution.weight.dtype == torch.float64 and not ops.CPP_REASON


class Float64Convolution(FrozenConvolution):
    """A frozen convolution with weights in blocks of output channels; outputs are channels last."""

    _weight: tuple[torch.Tensor, torch.Tensor] | None
    _transposed: torch.Tensor | None

    def unpacked(self) -> dict[str, None]:
        """No weights; those for the gradient are made where one is asked for."""
        return {"_weight": None, "_transposed": None}

    def convolve(self, images: torch.Tensor, with_bias: bool) -> torch.Tensor:
        """The convolution itself, without a graph."""
        if self._weight is None:
            bias = self.weight.new_zeros(self.out_channels) if self.bias is None else self.bias.detach()
            self._weight = self._packed(self.weight.detach()), _in_blocks(bias)
        weight, bias = self._weight
        images = images.contiguous(memory_format=torch.channels_last)
        bias = bias if with_bias else torch.zeros_like(bias)
        if self.in_tiles:
            return _tiled(images, weight, bias, self.out_channels, self.padding, self.dilation)
        output: torch.Tensor = torch.ops.opticam.convolution(
            images, weight, bias, self.out_channels, *self._geometry()
        )
        return output

    def transpose(self, gradient: torch.Tensor, shape: Sizes) -> torch.Tensor:
        """The gradient of an input of this shape from that of the output."""
        if self._transposed is None:
            weight = self.weight.detach().transpose(0, 1)
            self._transposed = self._packed(weight.flip(2, 3) if self.in_tiles else weight)
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        if self.in_tiles:  # in steps of 1 it is a convolution by the weights turned round
            padding = [2 * d - p for d, p in zip(self.dilation, self.padding)]
            no_bias = self._transposed.new_zeros(len(self._transposed) * LANES)
            return _tiled(gradient, self._transposed, no_bias, self.in_channels, padding, self.dilation)
        transposed: torch.Tensor = torch.ops.opticam.convolution_backward(
            gradient, self._transposed, self.in_channels, shape[2:], *self._geometry()
        )
        return transposed

    @property
    def in_tiles(self) -> bool:
        """Whether outputs are made in tiles of 2 x 2."""
        channels = min(self.in_channels, self.out_channels)
        return self.kernel_size == (3, 3) and self.stride == (1, 1) and channels >= LEAST_CHANNELS

    def _packed(self, weight: torch.Tensor) -> torch.Tensor:
        return _blocks(_in_places(_in_places(weight, 2), 3) if self.in_tiles else weight)

    def _geometry(self) -> tuple[Sizes, ...]:
        return self.kernel_size, self.stride, self.padding, self.dilation


def _tiled(
    images: torch.Tensor,
    weight: torch.Tensor,
    bias: torch.Tensor,
    outputs: int,
    padding: Sequence[int],
    dilation: Sequence[int],
) -> torch.Tensor:
    output: torch.Tensor = torch.ops.opticam.tiled_convolution(
        images, weight, bias, outputs, padding, dilation
    )
    return output


def _in_places(weight: torch.Tensor, axis: int) -> torch.Tensor:
    """Three weights along an axis as the four that the places of a tile are multiplied by: G g, term by term."""
    first, middle, last = weight.unbind(axis)
    places = [first, (first + middle + last) / 2, (first - middle + last) / 2, last]
    return torch.stack(places, dim=axis)


def _in_blocks(values: torch.Tensor) -> torch.Tensor:
    """Zeros behind the first axis, up to a whole number of blocks."""
    missing = -len(values) % LANES
    blocks: torch.Tensor = nn.functional.pad(values, [0, 0] * (values.dim() - 1) + [0, missing])
    return blocks


def _blocks(weight: torch.Tensor) -> torch.Tensor:
    """[K,C,kh,kw] as [blocks,kh kw,C,LANES]."""
    blocks = _in_blocks(weight.flatten(2)).unflatten(0, (-1, LANES))
    packed: torch.Tensor = blocks.permute(0, 3, 2, 1).contiguous()
    return packed
