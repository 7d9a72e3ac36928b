"""Float64 convolutions of a frozen network by the project's own kernel, csrc/opticam/cpu/convolution.cpp.

PyTorch has no kernel for them on the CPU: it writes out the neighbourhood of each pixel and calls a matrix product for
each image. This one takes half to a quarter of the time at few channels, and adds up in the same order on every
processor with fused multiply-add, so that their results are equal to the last bit.
"""

from __future__ import annotations

import torch
from torch import nn

from opticam.acceleration.frozen_convolution import FrozenConvolution, Sizes
from opticam.masking import ops

LANES = 16  # output channels in a block of weights: CONVOLUTION_LANES of csrc/opticam/cpu/loops.h


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
            self._weight = _blocks(self.weight.detach()), _in_blocks(bias)
        weight, bias = self._weight
        output: torch.Tensor = torch.ops.opticam.convolution(
            images.contiguous(memory_format=torch.channels_last),
            weight,
            bias if with_bias else torch.zeros_like(bias),
            self.out_channels,
            *self._geometry(),
        )
        return output

    def transpose(self, gradient: torch.Tensor, shape: Sizes) -> torch.Tensor:
        """The gradient of an input of this shape from that of the output."""
        if self._transposed is None:
            self._transposed = _blocks(self.weight.detach().transpose(0, 1))
        transposed: torch.Tensor = torch.ops.opticam.convolution_backward(
            gradient.contiguous(memory_format=torch.channels_last),
            self._transposed,
            self.in_channels,
            shape[2:],
            *self._geometry(),
        )
        return transposed

    def _geometry(self) -> tuple[Sizes, ...]:
        return self.kernel_size, self.stride, self.padding, self.dilation


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
