"""Several processes under torchrun: they share the work, each writes its own rows, rank 0 merges them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import torch.distributed as dist
from torch.distributed import PrefixStore, TCPStore  # type: ignore[attr-defined]
from tqdm.auto import tqdm

from dpnet.training.processes import alone
from reproduce.workspace.database import in_use
from reproduce.workspace.workspace import Workspace

Item = TypeVar("Item")
Name = TypeVar("Name")


@contextmanager
def process_group() -> Iterator[int]:
    """Join the processes that torchrun started, if any; gives this process's rank."""
    if not inside_group():
        yield 0
        return
    # Processes only wait for each other, also where each has a GPU: at the ends of a run, which may lie days apart.
    dist.init_process_group("gloo", timeout=timedelta(days=7))
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


def is_last() -> bool:
    """Whether this is the only process, or the last that torchrun started."""
    return int(os.environ.get("RANK", 0)) == int(os.environ.get("WORLD_SIZE", 1)) - 1


def several() -> bool:
    """Whether there are other processes to share work with."""
    return dist.is_initialized() and dist.get_world_size() > 1


def share(items: Iterable[Item], work: Callable[[Item], float] | None = None) -> Iterator[Item]:
    """The items that are this process's to do: one after the other, the next that no process has taken.

    With `work`, about how long an item takes in any unit, the longest come first, so that all processes end at about
    the same time. All processes must be given the same items in the same order.
    """
    items = list(items)
    if not several():
        return iter(items)
    if work:
        items.sort(key=work, reverse=True)
    return _taken(items, f"share {next(_shares)}")


def _taken(items: Sequence[Item], counter: str) -> Iterator[Item]:
    counters = _counters()
    while (place := counters.add(counter, 1) - 1) < len(items):
        yield items[place]


def share_shown(
    items: Sequence[Item], bar: tqdm[Any], length: Callable[[Item], int] = lambda item: 1
) -> Iterator[Item]:
    """What `share` gives, in the order given; the bar shows what all processes have taken, each item by its length."""
    ends = [0, *itertools.accumulate(map(length, items))]
    for place in share(range(len(items))):
        bar.update(ends[place] - bar.n)
        yield items[place]
    bar.update(ends[-1] - bar.n)


_shares = itertools.count()
"""Every process shares the same things in the same order, so their numbers name them."""


@lru_cache(maxsize=1)
def _counters() -> PrefixStore:
    """Numbers that all processes see, kept where the group's own are."""
    return PrefixStore("reproduce", TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])))


def wait() -> None:
    """Wait for all processes of the group, if there is one."""
    if dist.is_initialized():
        dist.barrier()


def to_first(own: Mapping[Name, Item]) -> dict[Name, Item]:
    """What all processes have made, by name, in the first one; in the others nothing."""
    if not several():
        return dict(own)
    made: list[Any] | None = [None] * dist.get_world_size() if is_first() else None
    dist.gather_object(own, made)
    return {name: item for part in made or () for name, item in part.items()}


def gather(workspace: Workspace) -> None:
    """Rank 0 merges the rows of the others into the store; all wait until they are there."""
    if not dist.is_initialized():
        return
    if dist.get_rank():
        workspace.sink.close()
        del workspace.sink  # further rows go into a new file
    wait()
    if dist.get_rank() == 0:
        merge_ranks(workspace)
    wait()


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
