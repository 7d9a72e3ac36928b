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
    named = [pair for pair in network.named_modules(remove_duplicate=False) if _plain(pair[1])]
    replacements = {convolution: _faster(convolution) for _, convolution in named}
    for name, convolution in named:
        network.set_submodule(name, replacements[convolution])
    return sum(isinstance(replacements[convolution], FrozenConvolution) for _, convolution in named)


def _plain(module: nn.Module) -> bool:
    return (
        type(module) is nn.Conv2d
        and module.groups == 1
        and module.padding_mode == "zeros"
        and not isinstance(module.padding, str)
        and module.weight.device.type == "cpu"
        and not is_parametrized(module)
    )


def _faster(convolution: nn.Conv2d) -> nn.Conv2d:
    if packable(convolution):
        return PackedConvolution(convolution)
    return Float64Convolution(convolution) if computable(convolution) else convolution
