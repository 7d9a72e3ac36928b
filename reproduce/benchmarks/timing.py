"""Timing one call on a CPU or a GPU, and the bandwidth of a plain copy to hold it against."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch

CACHE_BYTES = 256 * 2**20  # more than the second-level cache of any GPU


def take_turns(
    calls: Mapping[str, Callable[[], object]], device: str, turns: int, each: int
) -> dict[str, list[float]]:
    """Milliseconds of every call: in each turn one call that is not counted, then `each` that are.

    Turns go round the implementations, so that a slow moment of the machine meets each of them. On a GPU the
    time is between two events and the cache is overwritten before each.
    """
    timer = cuda_milliseconds if device == "cuda" else cpu_milliseconds
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            call()
            times[name] += [timer(call) for _ in range(each)]
    return times


def cpu_milliseconds(call: Callable[[], object]) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return 1000 * (time.perf_counter() - start)


def cuda_milliseconds(call: Callable[[], object]) -> float:
    """Time of one call on the GPU, from its first kernel to its last, with nothing of it in the cache.

    The overwriting keeps the GPU busy while the call is submitted, so the time to submit shows only as far as
    the kernels wait for it.
    """
    torch.empty(CACHE_BYTES, dtype=torch.uint8, device="cuda").zero_()
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end)


def submission_milliseconds(call: Callable[[], object], repeats: int = 20) -> float:
    """The least time that the CPU takes to submit one call to an idle GPU."""
    spent = []
    for _ in range(repeats):
        torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        spent.append(1000 * (time.perf_counter() - start))
    torch.cuda.synchronize()
    return min(spent)


def graph_of(call: Callable[[], object]) -> Callable[[], None]:
    """The kernels of one call as a CUDA graph: what remains when nothing is submitted one by one."""
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        call()
    return graph.replay


def copy_gigabytes_per_second(moved: int, device: str) -> float:
    """Bytes read and written a second by `copy_` of half of `moved` bytes: best of 20."""
    source = torch.ones(max(moved // 8, 1), device=device)
    target = torch.empty_like(source)
    times = take_turns({"copy": lambda: target.copy_(source)}, device, turns=4, each=5)["copy"]
    return 2 * source.numel() * source.element_size() / min(times) / 1e6
