"""The masking operations against eager PyTorch, torch.compile and the time of a plain copy.

    python -m reproduce.benchmarks.masking --out DIR [--device cpu|cuda] [--quick] [--shapes NAME ...]

What is timed is first checked against float64, on two of its images; then all take turns. Rows go to
DIR/masking_DEVICE.csv as they are finished: milliseconds (median and least), on CUDA also those of the kernels
alone (a CUDA graph) and of their submission, the floor (the bytes that must move over the bandwidth of a copy of
as many bytes), and the peak of memory beyond inputs and results.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch

from reproduce.benchmarks import timing
from reproduce.benchmarks.harness import Record, benchmark_parser
from reproduce.benchmarks.masking.cases import (
    BATCHES,
    DTYPES,
    OPERATIONS,
    QUICK_BATCHES,
    SHAPES,
    Call,
    Inputs,
    Shape,
    inputs,
    moved_bytes,
)
from reproduce.benchmarks.masking.report import markdown, plot, summary
from reproduce.benchmarks.memory import peak_bytes
from reproduce.benchmarks.reports import write_report

SOURCES = (
    "csrc/common",
    "csrc/opticam",
    "opticam/masking",
    *(f"reproduce/benchmarks/masking/{part}.py" for part in ("__main__", "cases")),
)
KEYS = ("operation", "shape", "batch", "dtype")
CHECKED_IMAGES = 2
SECONDS = 0.02
"""Of each implementation in each turn."""
TOLERANCE = {torch.float32: 1e-4, torch.bfloat16: 2e-2}


def check(operation: str, calls: Mapping[str, Call], x: Inputs) -> dict[str, float]:
    """The largest error of each call from float64 relative to the largest value, on its first images.

    calls: what is timed of `x`, by the name of the implementation. Raises ValueError where one is off by more than
    TOLERANCE.
    """
    eager = next(iter(OPERATIONS[operation](x.in_float64(CHECKED_IMAGES), False).values()))
    exact, errors = eager(), {}
    for name, call in calls.items():
        pairs = zip(call(), exact)
        errors[name] = max(((a[: len(b)] - b).abs().max() / b.abs().max()).item() for a, b in pairs)
        if not errors[name] <= TOLERANCE[x.images.dtype]:
            raise ValueError(f"{operation} by {name} is off by {errors[name]} in {x.images.dtype}")
    return errors


def measure(
    shape: Shape, batch: int, dtype: torch.dtype, operation: str, options: argparse.Namespace
) -> Iterator[dict[str, object]]:
    """One row for each implementation."""
    device = options.device
    x = inputs(shape, batch, dtype, device)
    calls = OPERATIONS[operation](x, options.compile)
    errors = check(operation, calls, x)
    moved = moved_bytes(operation, x)
    rate = timing.copy_gigabytes_per_second(moved, device)
    times = timing.take_turns(calls, device, options.turns, SECONDS)
    for name, call in calls.items():
        yield {
            "implementation": name,
            "median_ms": round(statistics.median(times[name]), 4),
            "least_ms": round(min(times[name]), 4),
            **(gpu_columns(call) if device == "cuda" else {}),
            "repeats": len(times[name]),
            "moved_mb": round(moved / 1e6, 3),
            "copy_gb_s": round(rate, 1),
            "floor_ms": round(moved / rate / 1e6, 4),
            "extra_mb": extra_megabytes(call, device),
            "error": f"{errors[name]:.1e}",
        }


def gpu_columns(call: Call) -> dict[str, float]:
    """Milliseconds of the kernels alone, and of their submission."""
    replay = timing.graph_of(call)
    kernels = min(timing.take_turns({"graph": replay}, "cuda", turns=3, seconds=0.005)["graph"])
    return {"kernels_ms": round(kernels, 4), "submit_ms": round(timing.submission_milliseconds(call), 4)}


def extra_megabytes(call: Call, device: str) -> float | None:
    """Peak memory of one call beyond its inputs and results."""
    peak = peak_bytes(call, device)
    return None if peak is None else round(peak / 1e6, 2)


def run(options: argparse.Namespace) -> Path:
    """Measure what is asked for; other rows that the CSV holds stay. Returns its path."""
    record = Record.of("masking", KEYS, SOURCES, options)
    for shape, batch, dtype, operation in settings(options):
        group = dict(zip(KEYS, (operation, shape.name, batch, str(dtype).removeprefix("torch."))))
        if record.pending(group):
            torch.compiler.reset()
            record.add(group, measure(shape, batch, dtype, operation, options))
    return record.path


def settings(options: argparse.Namespace) -> Iterator[tuple[Shape, int, torch.dtype, str]]:
    """Every shape, batch size, dtype and operation that is asked for."""
    batches = (QUICK_BATCHES if options.quick else BATCHES)[options.device]
    for shape in (s for s in SHAPES if s.name in options.shapes):
        for dtype, batch, operation in itertools.product(DTYPES[options.device], batches, OPERATIONS):
            if batch <= 16 or not operation.endswith("masks"):  # whose results hold 16 and 8 times the images
                yield shape, batch, dtype, operation


def main() -> None:
    """Measure, then write the table and the plot beside the CSV and print its path."""
    parser = benchmark_parser("Time the masking operations against their peers.")
    parser.add_argument("--quick", action="store_true", help="two batch sizes and few turns")
    names = [shape.name for shape in SHAPES]
    parser.add_argument("--shapes", nargs="+", choices=names, default=names, help="all unless given")
    parser.add_argument("--no-compile", dest="compile", action="store_false", help="without torch.compile")
    options = parser.parse_args()
    options.turns = 3 if options.quick else 8
    path = run(options)
    write_report(path, summary, markdown, plot)
    print(path)


if __name__ == "__main__":
    main()
