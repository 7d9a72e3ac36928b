"""Timing calls on a CPU or a GPU, and the bandwidth of a plain copy to hold them against."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

import torch
from torch.utils.benchmark import Timer


def take_turns(
    calls: Mapping[str, Callable[[], object]], device: str, turns: int, seconds: float
) -> dict[str, list[float]]:
    """Milliseconds of every call: in each turn as many calls as fit into `seconds`, one at least.

    Turns go round the calls, so that a slow moment of the machine meets each of them; each begins with calls that
    are not counted. On a CPU a number is the mean of as many calls in a row as make the clock's own time negligible.
    """
    timer = cuda_milliseconds if device == "cuda" else cpu_milliseconds
    times: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(turns):
        for name, call in calls.items():
            times[name] += timer(call, seconds)
    return times


def cpu_milliseconds(call: Callable[[], object], seconds: float) -> list[float]:
    """Wall times of one call, for some seconds."""
    timer = Timer("call()", globals={"call": call}, num_threads=torch.get_num_threads())
    return [1000 * spent for spent in timer.blocked_autorange(min_run_time=seconds).times]


def cuda_milliseconds(call: Callable[[], object], seconds: float) -> list[float]:
    """Times of one call on the GPU, from its first kernel to its last, with nothing of it in the cache.

    Overwriting the cache keeps the GPU busy while the call is submitted, so the time to submit shows only as far as
    the kernels wait for it.
    """
    from triton.testing import do_bench

    return do_bench(call, warmup=1, rep=1000 * seconds, return_mode="all")


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
    """The kernels of one call as a CUDA graph: what remains when nothing is submitted one by one.

    Triton's `do_bench_cudagraph` would leave results in the cache from one call to the next.
    """
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
    """Bytes read and written a second by `copy_` of half of `moved` bytes: the best of four turns."""
    source = torch.ones(max(moved // 8, 1), device=device)
    target = torch.empty_like(source)
    times = take_turns({"copy": lambda: target.copy_(source)}, device, turns=4, seconds=0.01)["copy"]
    return 2 * source.numel() * source.element_size() / min(times) / 1e6
