"""The Markdown table and the plot of a benchmark of insertion and deletion, from its CSV alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reproduce.benchmarks.bar_plots import plot_bars
from reproduce.benchmarks.reports import every, measured_with


def plot(rows: pd.DataFrame, path: Path) -> None:
    """Best seconds of each side, one panel per network."""
    panels = {
        f"{network}, batch of {images}": group.groupby("side", sort=False)["seconds"].min()
        for (network, images), group in rows.groupby(["network", "images"], sort=False)
    }
    plot_bars(panels, "seconds for insertion and deletion of the batch", path)


def markdown(rows: pd.DataFrame) -> str:
    """Best seconds of each side per network, how much faster than the plain loop, and the difference of areas."""
    lines = [
        f"# Insertion and deletion on {every(rows, 'device')}",
        "",
        f"{measured_with(rows)}. Best of the repetitions. The network alone, as many",
        "forward passes, is the floor of the line above it.",
        "",
        "| network | images | side | seconds | x plain loop | largest difference of an area (points) |",
        "|---|---|---|---|---|---|",
    ]
    for (network, images), group in rows.groupby(["network", "images"], sort=False):
        best = group.groupby("side", sort=False)[["seconds", "largest_difference"]].min()
        for side, (seconds, difference) in best.iterrows():
            times = best.seconds["plain loop"] / seconds
            apart = "" if pd.isna(difference) else f"{difference:.1e}"
            lines.append(f"| {network} | {images} | {side} | {seconds:.2f} | {times:.1f} | {apart} |")
    return "\n".join(lines) + "\n"


def write_report(path: Path) -> None:
    """Write PATH with .md and .svg beside the CSV."""
    rows = pd.read_csv(path)
    path.with_suffix(".md").write_text(markdown(rows), encoding="utf-8")
    plot(rows, path.with_suffix(".svg"))
