"""Several processes under torchrun: they share the work, each writes its own rows, rank 0 merges them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from operator import itemgetter
from pathlib import Path
from typing import TypeVar

import torch
import torch.distributed as dist

from dpnet.training.processes import alone
from reproduce.workspace.database import in_use
from reproduce.workspace.workspace import Workspace

Item = TypeVar("Item")


@contextmanager
def process_group() -> Iterator[int]:
    """Join the processes that torchrun started, if any; gives this process's rank."""
    if not inside_group():
        yield 0
        return
    # Processes wait for each other only at the ends of a run, which may lie days apart.
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    dist.init_process_group(backend, timeout=timedelta(days=7))
    try:
        with alone():  # models are shared out, none is trained by several processes
            yield dist.get_rank()
    finally:
        dist.destroy_process_group()


def inside_group() -> bool:
    """Whether torchrun, or `reproduce.cli.launching`, has started this process as one of several."""
    return "RANK" in os.environ


def is_first() -> bool:
    """Whether this is the only process, or the first that torchrun started."""
    return int(os.environ.get("RANK", 0)) == 0


def several() -> bool:
    """Whether there are other processes to share work with."""
    return dist.is_initialized() and dist.get_world_size() > 1


def share(items: Iterable[Item], work: Callable[[Item], float] = lambda item: 1.0) -> list[Item]:
    """The items that are this process's to do; all of them where there is one process.

    The longest first, each to the process that has least, so that all end at about the same time; those of equal
    work in a fixed shuffle, as neighbours may take long for the same reason. All processes must be given the same
    items. work: about how long an item takes, in any unit.
    """
    items = list(items)
    if not several():
        return items
    random.Random(0).shuffle(items)
    loads = [0.0] * dist.get_world_size()
    own = []
    for length, item in sorted(((work(item), item) for item in items), key=itemgetter(0), reverse=True):
        least = loads.index(min(loads))
        loads[least] += length
        if least == dist.get_rank():
            own.append(item)
    return own


def wait() -> None:
    """Wait for all processes of the group, if there is one."""
    if dist.is_initialized():
        dist.barrier()


@contextmanager
def turn() -> Iterator[None]:
    """What is inside is done by one process of the group after the other; all have done it when this ends."""
    before = dist.get_rank() if several() else 0
    for _ in range(before):
        wait()
    yield
    for _ in range(before, dist.get_world_size() if several() else 0):
        wait()


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
    for path in _rank_files(workspace):
        workspace.store.merge(path)
        path.unlink()


def check_no_other_group(workspace: Workspace) -> None:
    """Raise ValueError where processes of another run write into the same folder: this one would take their rows."""
    if any(map(in_use, _rank_files(workspace))):
        raise ValueError(
            f"results: several processes of another run are writing into {workspace.results}; wait until it has "
            "ended, or take another folder"
        )


def _rank_files(workspace: Workspace) -> list[Path]:
    return sorted(workspace.results.glob("results.rank*.sqlite"))
