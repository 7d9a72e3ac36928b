"""Which convolutions of a frozen network are replaced by faster ones, and by which."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.parametrize import is_parametrized

from opticam.acceleration.float64_convolution import Float64Convolution, computable
from opticam.acceleration.frozen_convolution import FrozenConvolution
from opticam.acceleration.packed_convolution import PackedConvolution, packable


def pack_convolutions(network: nn.Module) -> int:
    """Replace, in place, the convolutions of a frozen network on the CPU that have a faster form; returns how many.

    Names stay, and so does what is shared: a convolution under two names is replaced once. Convolutions with groups,
    other paddings than zeros, or a subclass's own code stay as they are.
    """
    faster = {module: found for module in network.modules() if (found := _faster(module))}
    named = [pair for pair in network.named_modules(remove_duplicate=False) if pair[1] in faster]
    for name, convolution in named:
        network.set_submodule(name, faster[convolution])
    return len(named)


def _faster(module: nn.Module) -> FrozenConvolution | None:
    if type(module) is not nn.Conv2d or module.groups != 1 or module.padding_mode != "zeros":
        return None
    if isinstance(module.padding, str) or module.weight.device.type != "cpu" or is_parametrized(module):
        return None
    if packable(module):
        return PackedConvolution(module)
    return Float64Convolution(module) if computable(module) else None
