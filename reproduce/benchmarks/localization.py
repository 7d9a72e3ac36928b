"""Localisation metrics in maps per second, on maps like those of a CAM method.

    python -m reproduce.benchmarks.localization --output localization_cpu.csv

Maps are random 7 x 7 or 14 x 14 grids upsampled to 224 x 224, with two boxes per image. "OM LE F1 SP EP" is one
call of `localization`; "BA" is `box_overlaps` at its 20 thresholds; "all" is both. SM is left out: it is a forward
pass. A table and a plot of the medians go beside the CSV, with the suffixes .md and .svg.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional

from opticam.masking import normalize_map
from opticam.metrics import box_overlaps, localization
from reproduce.benchmarks.bar_plots import plot_bars
from reproduce.benchmarks.environment import environment

SOURCES = ("opticam/metrics", "reproduce/benchmarks/localization.py")
BOXES = torch.tensor([[10.0, 20.0, 150.0, 200.0], [30.0, 40.0, 200.0, 90.0]])


def cam_like_maps(count: int, grid: int) -> Tensor:
    """Maps [count, 224, 224] in [0, 1] from random grids, cubed so that few cells stand out."""
    cells = torch.rand(count, 1, grid, grid, generator=torch.Generator().manual_seed(grid)) ** 3
    return normalize_map(functional.interpolate(cells, (224, 224), mode="bilinear")[:, 0])


def maps_per_second(metric: Callable[[Tensor], object], maps: Tensor, repeats: int) -> list[float]:
    """Rate of each repetition; one call before them warms up."""
    metric(maps)
    rates = []
    for _ in range(repeats):
        start = time.perf_counter()
        metric(maps)
        rates.append(len(maps) / (time.perf_counter() - start))
    return rates


def measure(count: int, repeats: int) -> pd.DataFrame:
    """One row per protocol, grid, metric and repetition."""
    boxes, correct = [BOXES] * count, torch.ones(count, dtype=torch.bool)
    rows = []
    for protocol in ("paper", "legacy"):
        metrics = {
            "OM LE F1 SP EP": lambda maps, rules=protocol: localization(maps, boxes, correct, rules),
            "BA": lambda maps, rules=protocol: box_overlaps(maps, boxes, rules),
        }
        both = list(metrics.values())
        metrics["all"] = lambda maps, both=both: [metric(maps) for metric in both]
        for grid in (7, 14):
            maps = cam_like_maps(count, grid)
            for name, metric in metrics.items():
                for repetition, rate in enumerate(maps_per_second(metric, maps, repeats)):
                    row = {"metric": name, "protocol": protocol, "grid": grid, "repetition": repetition}
                    rows.append(row | {"maps_per_second": rate})
    return pd.DataFrame(rows)


def main() -> None:
    """Write the CSV and its table, and print the table."""
    parser = argparse.ArgumentParser(description="Time the localisation metrics on the CPU.")
    parser.add_argument("--maps", type=int, default=64, help="maps in the batch")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--output", type=Path, required=True, help="CSV file to write")
    options = parser.parse_args()
    table = measure(options.maps, options.repeats)
    table.assign(maps=options.maps, **environment("cpu", SOURCES)).to_csv(options.output, index=False)
    rows = pd.read_csv(options.output)
    text = markdown(rows)
    options.output.with_suffix(".md").write_text(text, encoding="utf-8")
    plot(rows, options.output.with_suffix(".svg"))
    print(text)


def plot(rows: pd.DataFrame, path: Path) -> None:
    """Median maps per second of each metric, one panel per protocol and grid."""
    rates = rows.groupby(["protocol", "grid", "metric"], sort=False)["maps_per_second"].median()
    panels = {
        f"{protocol} protocol, grids of {grid} x {grid}": rates[protocol, grid]
        for protocol, grid in rates.index.droplevel("metric").unique()
    }
    plot_bars(panels, "maps per second", path)


def markdown(rows: pd.DataFrame) -> str:
    """Median maps per second of each metric, a column per protocol and grid."""
    first = rows.iloc[0]
    rates = rows.groupby(["metric", "protocol", "grid"])["maps_per_second"].median()
    columns = rates.index.droplevel("metric").unique().sort_values(ascending=[False, True])
    lines = [
        f"# Localisation metrics on {first.device}",
        "",
        f"Commit {first.commit}, PyTorch {first.torch}, {first.threads:.0f} threads; maps of 224 x 224",
        f"pixels a second, medians, {first.maps} maps a call.",
        "",
        "| metrics | " + " | ".join(f"{protocol}, {grid} x {grid}" for protocol, grid in columns) + " |",
        "|---|" + "---|" * len(columns),
    ]
    for metric in rows["metric"].unique():
        places = [(metric, *column) for column in columns]
        lines.append(f"| {metric} | " + " | ".join(f"{rates[place]:.0f}" for place in places) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
