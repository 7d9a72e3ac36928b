"""Several processes under torchrun: each writes its own rows, rank 0 merges them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

import torch
import torch.distributed as dist

from reproduce.workspace import Workspace


@contextmanager
def process_group() -> Iterator[int]:
    """Join the processes that torchrun started, if any; gives this process's rank."""
    if "RANK" not in os.environ:
        yield 0
        return
    # Processes wait for each other only at the ends of a run, which may lie days apart.
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=timedelta(days=7))
    try:
        yield dist.get_rank()
    finally:
        dist.destroy_process_group()


def wait() -> None:
    """Wait for all processes of the group, if there is one."""
    if dist.is_initialized():
        dist.barrier()


def gather(workspace: Workspace) -> None:
    """Wait for all processes; rank 0 merges the rows of the others into the store."""
    if not dist.is_initialized():
        return
    if dist.get_rank():
        workspace.sink.close()
    wait()
    if dist.get_rank() == 0:
        merge_ranks(workspace)


def merge_ranks(workspace: Workspace) -> None:
    """Merge and drop the files of other ranks: at the end of a run, and at the start after a killed one."""
    for path in sorted(workspace.results.glob("results.rank*.sqlite")):
        workspace.store.merge(path)
        path.unlink()
