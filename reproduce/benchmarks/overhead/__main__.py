"""What a call of either kernel costs on the host, in microseconds and in calls of torch.mul.

    python -m reproduce.benchmarks.overhead --out DIR [--device cpu|cuda]

Small tensors, so that the host's work is all there is. On a CPU the masking step's kernels are doubles that do
nothing, and CPU tensors go the way of CUDA tensors up to there (doubles.py): every line of Python and every allocation
counts, the driver's launch does not. Part similarity runs as it is, at a size at which its own work is next to nothing.
On a GPU everything is real, and what is timed is the submission to an idle GPU, not its work. One row a layer and turn
in DIR/host_overhead_DEVICE.csv; the goals are ratios to torch.mul on a GPU, whose own launch is in its time.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import torch

from reproduce.benchmarks.harness import Record, benchmark_parser
from reproduce.benchmarks.overhead.doubles import cpu_for_cuda
from reproduce.benchmarks.overhead.layers import STEPS
from reproduce.benchmarks.overhead.report import markdown, plot, summary
from reproduce.benchmarks.reports import write_report
from reproduce.benchmarks.timing import cpu_milliseconds

SOURCES = (
    "opticam/masking",
    "dpnet/similarity",
    "csrc/common",
    "csrc/dpnet",
    *(f"reproduce/benchmarks/overhead/{part}.py" for part in ("__main__", "doubles", "layers")),
)
KEYS = ("step",)
SECONDS = 0.02
"""Of each layer in each turn."""
IN_A_ROW = 20
"""Calls submitted to an idle GPU: few enough that it need not keep up, for its queue holds about a thousand kernels."""


def measure(step: str, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """One row for each layer and turn: the turn's median."""
    calls = STEPS[step](options.device)
    milliseconds = host_milliseconds if options.device == "cuda" else cpu_milliseconds
    for turn in range(options.turns):
        for name, call in calls.items():
            times = milliseconds(call, SECONDS)
            yield {"layer": name, "turn": turn, "microseconds": round(1000 * statistics.median(times), 3)}


def host_milliseconds(call: Callable[[], object], seconds: float) -> list[float]:
    """Times of one call on the host, for some seconds: the GPU is waited for outside of them."""
    times: list[float] = []
    for _ in range(IN_A_ROW):
        call()
    end = time.perf_counter() + seconds
    while not times or time.perf_counter() < end:
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(IN_A_ROW):
            call()
        times.append(1000 * (time.perf_counter() - start) / IN_A_ROW)
    torch.cuda.synchronize()
    return times


def run(options: argparse.Namespace) -> Path:
    """Measure, unless nothing has changed; the path of the CSV."""
    record = Record.of("host_overhead", KEYS, SOURCES, options)
    for step in STEPS:
        group = {"step": step}
        if record.pending(group):
            with cpu_for_cuda() if options.device == "cpu" and step == "masking" else nullcontext():
                record.add(group, measure(step, options))
    return record.path


def main() -> None:
    """Measure, then write the table and the plot beside the CSV and print the table."""
    parser = benchmark_parser("Time what a call of either kernel costs on the host.")
    parser.add_argument("--turns", type=int, default=20, help="turns of each layer")
    path = run(parser.parse_args())
    write_report(path, summary, markdown, plot)
    print(path.with_suffix(".md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
