"""A kernel with its grid and constants fixed: compiled by its first call, launched without Triton's binder after."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

ALIGNED = 15
"""Bits of an address that are zero where it is a multiple of 16 bytes, which kernels are compiled for."""
MOST = 65_535
"""Blocks of a grid that CUDA launches along y, and along z."""


class Launch:
    """Everything of one kernel launch but its tensors.

    The kernel's parameters are tensors, then `scalars`, then constants, by whose names `constants` gives them;
    `constants` may hold Triton's options (num_warps) too. The tensors' device must not change; tensors of other
    dtypes than the first call's, or off 16 bytes, go through the binder, which compiles for what it is given.
    Raises ValueError for a grid of more than `MOST` blocks along y or z: of images of 67 million pixels and more.
    """

    def __init__(
        self, kernel: Any, grid: tuple[int, ...], scalars: tuple[int, ...] = (), /, **constants: float
    ) -> None:
        if max(grid[1:], default=0) > MOST:
            raise ValueError(
                f"images, features: too large for Triton's kernels, whose grid would be {grid} where CUDA takes {MOST} "
                'along y and z; backend="eager" takes them'
            )
        self.kernel, self.grid, self.scalars, self.constants = kernel, grid, scalars, constants
        self._grid = (*grid, 1, 1)[:3]
        self._compiled: tuple[Any, ...] | None = None

    def __call__(self, *tensors: Tensor) -> None:
        """Launch on the current stream of the tensors' device, which must be the current one."""
        compiled = self._compiled
        if compiled is None:
            self._first(tensors)
            return
        run, function, metadata, tail, device, dtypes = compiled
        pointers, bits = [], 0
        for tensor, dtype in zip(tensors, dtypes):
            if tensor.dtype is not dtype:
                bits = 1
            pointer = tensor.data_ptr()
            pointers.append(pointer)
            bits |= pointer
        if bits & ALIGNED:
            self.kernel[self.grid](*tensors, *self.scalars, **self.constants)
            return
        x, y, z = self._grid
        stream = torch._C._cuda_getCurrentRawStream(device)
        run(x, y, z, stream, function, metadata, None, None, None, *pointers, *tail)

    def _first(self, tensors: tuple[Tensor, ...]) -> None:
        """Let Triton compile and launch; keep what it compiled if that is for aligned tensors."""
        kernel = self.kernel[self.grid](*tensors, *self.scalars, **self.constants)
        if kernel is None or any(tensor.data_ptr() & ALIGNED for tensor in tensors):
            return  # interpreted, or compiled for addresses of any alignment
        names = self.kernel.arg_names[len(tensors) + len(self.scalars) :]
        tail = (*self.scalars, *(self.constants[name] for name in names))
        device = tensors[0].get_device()
        dtypes = tuple(tensor.dtype for tensor in tensors)
        self._compiled = kernel.run, kernel.function, kernel.packed_metadata, tail, device, dtypes
