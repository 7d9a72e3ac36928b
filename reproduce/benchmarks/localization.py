"""Localisation metrics in maps per second, on maps like those of a CAM method.

    python -m reproduce.benchmarks.localization --out DIR

Maps are random 7 x 7 or 14 x 14 grids upsampled to 224 x 224, with two boxes per image. "OM LE F1 SP EP" is
one call of `localization`; "BA" is `box_overlaps` at its 20 thresholds; "all" is both. SM is left out: it is
a forward pass. Rows go to DIR/localization_cpu.csv; a table and a plot of the medians go beside it, with the
suffixes .md and .svg.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from opticam.masking import normalize_map
from opticam.metrics import box_overlaps, localization
from reproduce.benchmarks.bar_plots import plot_bars
from reproduce.benchmarks.harness import Record, benchmark_parser
from reproduce.benchmarks.reports import every, measured_with, table_lines, write_report
from reproduce.benchmarks.timing import take_turns

SOURCES = ("opticam/metrics", "reproduce/benchmarks/localization.py")
KEYS = ("protocol", "grid", "maps")
SECONDS = 0.02
"""Of each metric in each turn: one call."""
BOXES = torch.tensor([[10.0, 20.0, 150.0, 200.0], [30.0, 40.0, 200.0, 90.0]])


def cam_like_maps(count: int, grid: int) -> Tensor:
    """Maps [count, 224, 224] in [0, 1] from random grids, cubed so that few cells stand out."""
    cells = torch.rand(count, 1, grid, grid, generator=torch.Generator().manual_seed(grid)) ** 3
    return normalize_map(functional.interpolate(cells, (224, 224), mode="bilinear")[:, 0])


def measure(protocol: str, grid: int, options: argparse.Namespace) -> Iterator[dict[str, object]]:
    """One row per metric and repetition."""
    boxes, correct = [BOXES] * options.maps, torch.ones(options.maps, dtype=torch.bool)
    maps = cam_like_maps(options.maps, grid)
    metrics: dict[str, Callable[[], object]] = {
        "OM LE F1 SP EP": lambda: localization(maps, boxes, correct, protocol),
        "BA": lambda: box_overlaps(maps, boxes, protocol),
    }
    both = tuple(metrics.values())
    metrics["all"] = lambda: [metric() for metric in both]
    for name, times in take_turns(metrics, "cpu", options.repeats, SECONDS).items():
        for repetition, milliseconds in enumerate(times):
            rate = 1000 * options.maps / milliseconds
            yield {"metric": name, "repetition": repetition, "maps_per_second": rate}


def main() -> None:
    """Write the CSV, its table and its plot, and print the table."""
    parser = benchmark_parser("Time the localisation metrics on the CPU.", devices=("cpu",))
    parser.add_argument("--maps", type=int, default=64, help="maps in the batch")
    parser.add_argument("--repeats", type=int, default=7, help="turns of each metric")
    options = parser.parse_args()
    record = Record.of("localization", KEYS, SOURCES, options)
    for protocol, grid in itertools.product(("paper", "legacy"), (7, 14)):
        group = dict(zip(KEYS, (protocol, grid, options.maps)))
        if record.pending(group):
            record.add(group, measure(protocol, grid, options))
    write_report(record.path, summary, markdown, plot)
    print(record.path.with_suffix(".md").read_text(encoding="utf-8"))


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Median maps per second of each metric on the grids of each protocol."""
    keys = ["protocol", "grid", "metric"]
    return rows.groupby(keys, sort=False)["maps_per_second"].median().reset_index()


def markdown(table: pd.DataFrame, rows: pd.DataFrame) -> str:
    """The summary as a Markdown table, a column per protocol and grid, under a few lines on what was measured."""
    columns = {
        f"{protocol}, {grid} x {grid}": group.set_index("metric")["maps_per_second"]
        for (protocol, grid), group in table.groupby(["protocol", "grid"])
    }
    head = [
        f"# Localisation metrics on {every(rows, 'device')}",
        "",
        f"{measured_with(rows)}; maps of 224 x 224",
        f"pixels a second, medians, {every(rows, 'maps')} maps a call.",
        "",
    ]
    wide = pd.DataFrame(columns).rename_axis("metrics").reset_index()
    return "\n".join([*head, *table_lines(wide, lambda _, value: f"{value:.0f}")]) + "\n"


def plot(table: pd.DataFrame, path: Path) -> None:
    """Median maps per second of each metric, one panel per protocol and grid."""
    panels = {
        f"{protocol} protocol, grids of {grid} x {grid}": group.set_index("metric")["maps_per_second"]
        for (protocol, grid), group in table.groupby(["protocol", "grid"], sort=False)
    }
    plot_bars(panels, "maps per second", path)


if __name__ == "__main__":
    main()
