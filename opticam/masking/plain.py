"""What the ways to a kernel share: which tensors go past PyTorch's dispatcher, and which derivatives there are not.

A kernel has a gradient and no further derivative. What PyTorch would take for zero is refused here.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from threading import Lock
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

PLAIN = (Tensor, torch.nn.Parameter)


def is_plain(*tensors: Any) -> bool:
    """Whether these are plain tensors that nothing traces, batches, fakes or differentiates forward."""
    if torch.compiler.is_compiling() or forward_ad._current_level >= 0:
        return False
    for tensor in tensors:
        if type(tensor) not in PLAIN:
            return False
    if torch._C._len_torch_dispatch_stack():
        return False
    return torch._C._functorch.maybe_current_level() is None


def refuse_tangent(name: str, tensor: Tensor) -> None:
    """Raise NotImplementedError where forward-mode differentiation has given a tensor a tangent: it would be lost."""
    if forward_ad._current_level >= 0 and forward_ad.unpack_dual(tensor).tangent is not None:
        raise NotImplementedError(
            f"{name} has a tangent; forward-mode differentiation (torch.func.jvp, dual tensors) is not supported"
        )


def differentiable_once(backward: Callable[..., tuple[Any, ...]]) -> Callable[..., tuple[Any, ...]]:
    """A function's way back, with gradients that raise RuntimeError where they are differentiated again.

    PyTorch's `once_differentiable` makes them so only where a gradient that comes in requires one, which that of a mean
    does not; and only for `Tensor.backward`, as nothing joins them to what they were computed from.
    """

    @wraps(backward)
    def way_back(ctx: Any, *upstream: Any) -> tuple[Any, ...]:
        if forward_ad._current_level >= 0:
            for gradient in filter(torch.is_tensor, upstream):
                refuse_tangent("a gradient on its way back", gradient)
        if not torch.is_grad_enabled():  # no graph of the gradients is asked for
            return backward(ctx, *upstream)
        origins = *upstream, *ctx.saved_tensors
        with torch.no_grad():
            found = backward(ctx, *upstream)
        last: tuple[Any, ...] = _Last.apply(len(found), *found, *origins)
        return last

    return way_back


class _Last(torch.autograd.Function):
    """The first of the tensors given, which depend on all of them by a way back that raises."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Any) -> tuple[Any, ...]:
        return tensors[:count]

    @staticmethod
    def backward(ctx: Any, *upstream: Any) -> tuple[Any, ...]:
        raise RuntimeError("this gradient cannot be differentiated again")


class Memory(dict[tuple[object, ...], bool]):
    """Answers kept for facts about arguments, the last `KEPT` of them; threads may add at once."""

    KEPT = 1024

    def __init__(self) -> None:
        super().__init__()
        self._adding = Lock()

    def remember(self, facts: tuple[object, ...], answer: bool) -> bool:
        """Keep an answer, and return it; the oldest go first."""
        with self._adding:
            while len(self) >= self.KEPT:
                del self[next(iter(self))]
            self[facts] = answer
        return answer
