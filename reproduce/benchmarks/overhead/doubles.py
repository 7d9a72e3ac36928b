"""Doubles that let CPU tensors go the way of CUDA tensors through the masking step, up to kernels that do nothing."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch.library import Library

from opticam.masking import cuda, direct, ops
from opticam.masking.triton import backward, forward, launch, plans

PLANS = (plans.forward_plan, plans.backward_plan, plans.channel_plan, plans.step_plan)


class NoKernel:
    """Stands for a Triton kernel: compiled at once, and running it notes its name in `ran` and does nothing else."""

    function = packed_metadata = None

    def __init__(self, kernel: Any, ran: list[str] | None) -> None:
        self.arg_names, self.__name__ = kernel.arg_names, kernel.__name__
        self.run: Callable[..., None] = lambda *_: None
        if ran is not None:
            self.run = lambda *_: ran.append(self.__name__)

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., NoKernel]:
        def first(*arguments: object, **constants: object) -> NoKernel:
            self.run()
            return self

        return first


class OnCpu:
    """A library to which implementations for CUDA are given, and which registers them for the CPU."""

    def __init__(self, library: Library) -> None:
        self.library = library

    def impl(self, name: str, function: Callable[..., Any], key: str) -> None:
        """Register in the CPU's place."""
        self.library.impl(name, function, "CPU", allow_override=True)


def asking_for_the_cpu(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, line by line, but it asks tensors `is_cpu` where it asked `is_cuda`."""
    source = inspect.getsource(function).replace("is_cuda", "is_cpu")
    made: dict[str, Any] = {}
    exec(compile(source, function.__code__.co_filename, "exec"), vars(sys.modules[function.__module__]), made)
    return made[function.__name__]


@contextmanager
def cpu_for_cuda(ran: list[str] | None = None) -> Iterator[None]:
    """Inside, CPU tensors take the short way and the operators' way of CUDA tensors; results hold anything.

    ran: gets the name of each kernel that would have run.
    """
    library = Library("opticam", "IMPL")
    with ExitStack() as stack:
        stack.callback(library._destroy)
        for name, plain in ops.IMPLEMENTATIONS.items():
            cuda.register(OnCpu(library), name, plain)  # type: ignore[arg-type]
        for module in (forward, backward):
            for name, kernel in list(vars(module).items()):
                if name.endswith("_kernel"):
                    stack.enter_context(patch.object(module, name, NoKernel(kernel, ran)))
        stack.enter_context(patch.object(direct, "possible", asking_for_the_cpu(direct.possible)))
        stack.enter_context(patch.object(direct, "served", lambda *_: True))
        stack.enter_context(patch.object(launch, "on_device", asking_for_the_cpu(launch.on_device)))
        stack.enter_context(patch.object(torch._C, "_cuda_getDevice", lambda: -1, create=True))
        stack.enter_context(patch.object(torch._C, "_cuda_getCurrentRawStream", lambda _: 0, create=True))
        stack.callback(_forget)
        _forget()
        yield


def _forget() -> None:
    """Neither plans nor checks of the one side serve the other."""
    direct._checked.clear()
    for plan in PLANS:
        plan.cache_clear()
