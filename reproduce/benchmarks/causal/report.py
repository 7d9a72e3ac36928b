"""The Markdown table and the plot of a benchmark of insertion and deletion, from its CSV alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reproduce.benchmarks.bar_plots import plot_bars
from reproduce.benchmarks.reports import every, measured_with, table_lines

TIMES, APART = "x plain loop", "largest difference of an area (points)"


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Best seconds of each side per network, how much faster than the plain loop, and the difference of areas."""
    best = rows.groupby(["network", "images", "side"], sort=False)[["seconds", "largest_difference"]].min()
    loop = best["seconds"].xs("plain loop", level="side")
    times = [loop[key[:2]] / seconds for key, seconds in best["seconds"].items()]
    return best.assign(**{TIMES: times, APART: best.pop("largest_difference")}).reset_index()


def markdown(table: pd.DataFrame, rows: pd.DataFrame) -> str:
    """The summary as a Markdown table under a few lines on what was measured."""
    head = [
        f"# Insertion and deletion on {every(rows, 'device')}",
        "",
        f"{measured_with(rows)}. Best of the repetitions. The network alone, as many",
        "forward passes, is the floor of the line above it.",
        "",
    ]
    return "\n".join([*head, *table_lines(table, _number)]) + "\n"


def _number(column: str, value: float) -> str:
    return f"{value:.1e}" if column == APART else f"{value:.1f}" if column == TIMES else f"{value:.2f}"


def plot(table: pd.DataFrame, path: Path) -> None:
    """Best seconds of each side, one panel per network."""
    panels = {
        f"{network}, batch of {images}": group.set_index("side")["seconds"]
        for (network, images), group in table.groupby(["network", "images"], sort=False)
    }
    plot_bars(panels, "seconds for insertion and deletion of the batch", path)
