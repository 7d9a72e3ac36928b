"""Part-region similarity against eager PyTorch, torch.compile and peers.

    python -m reproduce.benchmarks.similarity --out DIR [--device cpu|cuda] [--quick] [--shapes NAME ...]

What is timed is first checked against float64: scores, entropies and gradients. Then all take turns, so that a slow
moment of the machine meets each of them. Rows go to DIR/similarity_DEVICE.csv as they are finished: milliseconds
(median and least of the turns), the rate beside that of the bare matrix product of the same size and dtype, the peak
of memory beyond inputs and results, and the largest error of a score. The loss of the backward pass is a weighted sum
of the scores plus, where asked, the mean entropy; gradients are those of the parts, as on a frozen backbone.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

import torch

from reproduce.benchmarks.harness import Record, benchmark_parser
from reproduce.benchmarks.memory import peak_bytes
from reproduce.benchmarks.reports import write_report
from reproduce.benchmarks.similarity.cases import (
    PRECISIONS,
    QUICK,
    SHAPES,
    TEMPERATURE,
    Precision,
    Shape,
    inputs,
)
from reproduce.benchmarks.similarity.exact import Exact, check, exact_results, step
from reproduce.benchmarks.similarity.report import markdown, plot, summary
from reproduce.benchmarks.similarity.rivals import FORWARD_ONLY, rivals
from reproduce.benchmarks.timing import take_turns

SOURCES = (
    "csrc/common",
    "csrc/dpnet",
    "dpnet/similarity",
    *(f"reproduce/benchmarks/similarity/{part}.py" for part in ("__main__", "cases", "exact", "rivals")),
)
KEYS = ("shape", "precision", "pass", "entropy")
TURNS = 3


@lru_cache(maxsize=1)  # the passes of a shape and precision follow each other
def expected(shape: Shape, precision: Precision, device: str) -> Exact:
    """What float64 computes of the inputs."""
    return exact_results(*inputs(shape, precision, device), TEMPERATURE, precision.tolerance)


def measure(
    shape: Shape, precision: Precision, train: bool, temperature: float | None, options: argparse.Namespace
) -> Iterator[dict[str, object]]:
    """One row for each implementation, of one pass of a shape and precision, with or without entropy."""
    device = options.device
    exact = expected(shape, precision, device)
    parts, regions = inputs(shape, precision, device)
    unit, flat = parts.detach().to(precision.dtype), regions.flatten(0, 1)
    images, count, number, depth = shape.on(device)
    torch.compiler.reset()  # past its limit of variants, torch.compile would run the eager form
    chosen = {
        name: rival
        for name, rival in rivals(device, precision.dtype, options.compile).items()
        if not (name in FORWARD_ONLY and (train or temperature))
    }
    errors = {
        name: check(rival, parts, regions, temperature, train, exact, precision.tolerance)
        for name, rival in chosen.items()
    }
    weights = torch.rand(images, number, device=device) if train else None
    calls = {name: step(rival, parts, regions, temperature, weights) for name, rival in chosen.items()}
    seconds = options.seconds / TURNS / (len(calls) + 1)
    times = take_turns(calls | {"product": lambda: flat @ unit.T}, device, TURNS, seconds)
    product = min(times.pop("product"))
    for name, spent in times.items():
        peak = peak_bytes(calls[name], device)
        yield {
            "implementation": name,
            **{"B": images, "R": count, "P": number, "d": depth, "capability": capability(device)},
            "median_ms": round(statistics.median(spent), 3),
            "least_ms": round(min(spent), 3),
            "turns": len(spent),
            "product_ms": round(product, 3),
            "rate_of_product": round(product / min(spent), 3),
            "gflops": round(2e-6 * images * count * number * depth / min(spent), 1),
            "extra_mb": None if peak is None else round(peak / 1e6, 2),
            "error": f"{errors[name]:.1e}",
        }


def capability(device: str) -> str:
    """What the GPU's kernels are compiled for, "9.0" say; "" on a CPU."""
    return ".".join(map(str, torch.cuda.get_device_capability())) if device == "cuda" else ""


def run(options: argparse.Namespace) -> Path:
    """Measure what is asked for; other rows that the CSV holds stay. Returns its path."""
    record = Record.of("similarity", KEYS, SOURCES, options)
    shapes = [shape for shape in SHAPES if shape.name in options.shapes]
    passes = itertools.product((False, True), (None, TEMPERATURE))
    for shape, precision, (train, temperature) in itertools.product(shapes, PRECISIONS, passes):
        way, entropy = "forward + backward" if train else "forward", "yes" if temperature else "no"
        group = dict(zip(KEYS, (shape.name, precision.name, way, entropy)))
        if record.pending(group):
            with precision.active():
                record.add(group, measure(shape, precision, train, temperature, options))
    return record.path


def main() -> None:
    """Measure, then write the CSV's report beside it and print the path."""
    parser = benchmark_parser("Time part-region similarity against its peers.")
    parser.add_argument("--quick", action="store_true", help="two shapes, a second for each pass")
    parser.add_argument(
        "--compile", action="store_true", help="torch.compile among the rivals, even on a CPU"
    )
    parser.add_argument("--shapes", nargs="+", choices=[s.name for s in SHAPES], help="all unless given")
    parser.add_argument("--seconds", type=float, default=5.0, help="for each pass of a shape and precision")
    options = parser.parse_args()
    options.shapes = options.shapes or (QUICK if options.quick else [shape.name for shape in SHAPES])
    options.seconds = min(options.seconds, 1.0) if options.quick else options.seconds
    options.compile = options.compile or options.device == "cuda"
    path = run(options)
    write_report(path, summary, markdown, plot)
    print(path)


if __name__ == "__main__":
    main()
