"""Several processes, one per device, started by torchrun; everything here is a no-op in a single one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import Tensor

# The first process may read pictures for hours while the others wait.
PATIENCE = timedelta(hours=24)


_ALONE: ContextVar[bool] = ContextVar("alone", default=False)


def world_size() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if _in_group() else 1


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if _in_group() else 0


@contextmanager
def alone() -> Iterator[None]:
    """Inside, this process trains models of its own, whatever group it is in."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


def _in_group() -> bool:
    return dist.is_available() and dist.is_initialized() and not _ALONE.get()


def own_device(device: str) -> torch.device:
    """The device that a process computes on: under torchrun "cuda" without a number is a GPU for each.

    Raises ValueError where the machine has no GPU left for this process.
    """
    chosen = torch.device(device)
    if chosen.type != "cuda" or chosen.index is not None or "LOCAL_RANK" not in os.environ:
        return chosen
    place, count = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if place >= count:
        raise ValueError(f"device: {count} GPUs for {place + 1} processes or more; start one for each GPU")
    torch.cuda.set_device(place)
    return torch.device("cuda", place)


def join_processes(device: str) -> torch.device:
    """Join the group that torchrun announced, if it did, and return this process's device."""
    chosen = own_device(device)
    if "RANK" not in os.environ:
        return chosen
    dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=PATIENCE)
    return chosen


def leave_processes() -> None:
    """Leave the group, if there is one."""
    if dist.is_available() and dist.is_initialized():
        dist.destroy_process_group()


@contextmanager
def first_process_first() -> Iterator[None]:
    """Let the first process do the block before the others, which then find its files."""
    if rank() > 0:
        dist.barrier()
    try:
        yield
    finally:
        if rank() == 0 and world_size() > 1:
            dist.barrier()


def mean_over_processes(value: Tensor) -> Tensor:
    """The mean of a tensor over the processes."""
    if world_size() == 1:
        return value
    value = value.clone()
    dist.all_reduce(value)
    return value / world_size()
