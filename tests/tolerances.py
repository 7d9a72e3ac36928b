"""How far a result may lie from float64: one rule for every test of an operator.

    |ours - exact| <= 2 |eager - exact| + 2 eps largest sqrt(length)

`eager` is plain PyTorch in the same dtype and precision, all are compared by their largest error, `largest` is the
largest entry of the exact result, `length` the number of terms that its longest sum adds up, and eps that of the
dtype in which sums are kept (float32 for half precisions, whose own rounding is in eager's error). A sum of n
terms errs like a random walk of n roundings, by eps sqrt(n) of what it adds; what it adds may exceed the result
by cancellation, hence the factor 2, as for eager. The second term matters where eager's error happens to be small:
which order of summation is the lucky one changes with the processor.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn


def rounding(exact: Tensor, length: float, dtype: torch.dtype = torch.float32, least: float = 0.0) -> float:
    """What rounding alone may do to `exact`: 2 eps largest sqrt(length), sums being kept in at least float32."""
    eps = torch.finfo(torch.promote_types(dtype, torch.float32)).eps
    finite = exact.detach()[exact.detach().isfinite()]
    largest = max(least, finite.abs().max().item() if finite.numel() else 0.0)
    return 2 * eps * largest * math.sqrt(max(1, length))


def error(result: Tensor, exact: Tensor) -> float:
    """The largest absolute difference from the float64 result."""
    return (result.detach().double() - exact.detach()).abs().max().item() if exact.numel() else 0.0


def assert_as_accurate(
    ours: Tensor, eager: Tensor, exact: Tensor, length: float, name: str = "result", least: float = 0.0
) -> None:
    """The rule at the top of this file; `exact` is float64, `ours` and `eager` are of the dtype they were made in.

    least: what counts as the largest entry at least, where terms of that size may add up to nothing.
    """
    assert exact.dtype == torch.float64
    allowed = 2 * error(eager, exact) + rounding(exact, length, ours.dtype, least)
    found = error(ours, exact)
    assert found <= allowed, f"{name}: error {found:.3g}, allowed {allowed:.3g}"


def assert_close(ours: Tensor, expected: Tensor, length: int, dtype: torch.dtype | None = None) -> None:
    """Two results of one dtype that may differ by rounding alone: each may err by as much, hence twice."""
    allowed = 2 * rounding(expected.double(), length, dtype or ours.dtype)
    torch.testing.assert_close(ours.double(), expected.double(), rtol=0, atol=allowed, equal_nan=True)


def masking_sum(features: Tensor, images: Tensor) -> int:
    """Terms that a channel's gradient adds up: all pixels, after a map of all channels."""
    return features.shape[1] + images[0].numel()


def similarity_sums(shape: tuple[int, int, int, int], temperature: float) -> tuple[float, float]:
    """Terms of the longest sums of part similarity's entropy and gradients, for a shape [P, B, R, d].

    A temperature enlarges the scores' error by its inverse.
    """
    parts, batch, regions, depth = shape
    scale = 1 / temperature**2
    return parts + depth * scale, (parts + batch * regions + depth) * scale


def without_kinks(network: nn.Module) -> nn.Module:
    """The network, changed in place, with smooth activations and pooling.

    At a ReLU whose input is all but zero, and where two cells all but tie for a maximum, rounding decides which of two
    gradients there is; no bound by eps holds for those.
    """
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.ReLU | nn.ReLU6):
            network.set_submodule(name, nn.SiLU())
        elif isinstance(module, nn.MaxPool2d):
            sizes = module.kernel_size, module.stride, module.padding, module.ceil_mode
            network.set_submodule(name, nn.AvgPool2d(*sizes))
    return network
