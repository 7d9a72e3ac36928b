"""Registers the Triton implementations for CUDA tensors; Triton itself is imported on first use.

float64 tensors, and machines where Triton cannot run, take the implementation in plain PyTorch.
"""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import torch
from torch.library import Library


@lru_cache(maxsize=1)
def triton_reason() -> str:
    """Why the Triton kernels cannot be used; "" when they can. Where there is a GPU, it is asked for."""
    try:
        import triton

        if torch.cuda.is_available() and not torch.compiler.is_dynamo_compiling():
            triton.runtime.driver.active.get_current_target()  # builds what launches, with a C compiler
    except Exception as error:  # a Triton that does not fit this machine can fail in its own ways
        return f"Triton cannot run here ({type(error).__name__}: {error})"
    oldest = (3, 6)
    version = tuple(int(part) for part in triton.__version__.split(".")[:2])
    return "" if version >= oldest else f"Triton {triton.__version__} is older than 3.6"


@lru_cache(maxsize=1)
def warn_once(reason: str) -> None:
    """Say once why CUDA tensors are handled without Triton."""
    warnings.warn(f"opticam.masking runs in plain PyTorch on CUDA: {reason}", RuntimeWarning, stacklevel=3)


@lru_cache
def launching(name: str) -> Callable[..., Any]:
    """The function that launches the Triton kernels of an operation."""
    function: Callable[..., Any] = getattr(importlib.import_module("opticam.masking.triton.launch"), name)
    return function


def register(library: Library, name: str, plain: Callable[..., Any]) -> None:
    """Register operation `name` for CUDA: the Triton kernels, or `plain` where they cannot run."""

    def implementation(*arguments: Any) -> Any:
        reason = triton_reason()
        if reason:
            warn_once(reason)
            return plain(*arguments)
        for argument in arguments:
            if isinstance(argument, torch.Tensor) and argument.dtype is torch.float64:
                return plain(*arguments)
        return launching(name)(*arguments)

    library.impl(name, implementation, "CUDA")
