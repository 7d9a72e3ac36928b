"""The Markdown table and the plot of an Opti-CAM loop benchmark, from its CSV alone.

python -m reproduce.benchmarks.loop.report opticam_loop_cpu.csv
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from reproduce.benchmarks.bar_plots import plot_bars
from reproduce.benchmarks.reports import every, measured_with, table_lines, write_report

KEYS = ("part", "images", "pixels", "iterations")
"""Columns whose values name a setting; pixels: the side of a picture."""
BASES = {"opti-cam": "reference loop", "grad-cam": "forward exact", "score-cam": "grad-cam"}
"""The side of each part that the others are compared with, where it was measured."""


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per setting and side: best seconds, times as fast as the part's base, and what else was measured."""
    lines = []
    for key, group in rows.groupby(list(KEYS), sort=False):
        best = group.groupby("side", sort=False).min(numeric_only=True)
        base = best["seconds"].get(BASES[key[0]])
        for side, row in best.iterrows():
            lines.append(
                dict(zip(KEYS, key))
                | {
                    "side": side,
                    "seconds": row["seconds"],
                    "processor seconds": row["cpu_seconds"],
                    "x base": None if base is None else base / row["seconds"],
                    "peak MB": row["peak_mb"],
                    "masked logit": row.get("score"),
                    "map difference": row.get("map_difference"),
                    "gradient difference": row.get("gradient_difference"),
                }
            )
    return pd.DataFrame(lines)


def markdown(table: pd.DataFrame, rows: pd.DataFrame) -> str:
    """The summary as a Markdown table under a few lines on what was measured."""
    head = [
        f"# Opti-CAM, Grad-CAM and Score-CAM on {every(rows, 'device')}",
        "",
        f"{measured_with(rows)}; ResNet-50, random weights. Best seconds of",
        "the repetitions for the whole batch. Times as fast as the base: "
        + ", ".join(f"{base} ({part})" for part, base in BASES.items())
        + ".",
        "Iterations are Opti-CAM's, of Score-CAM forward passes; pixels are the side of a picture.",
        "Peak memory is beyond inputs and results. The differences are of the first step from the reference loop's.",
        "",
    ]
    return "\n".join([*head, *table_lines(table, _number)]) + "\n"


def _number(column: str, value: float) -> str:
    if column.endswith("difference"):
        return f"{value:.1e}"
    return f"{value:.0f}" if column == "peak MB" else f"{value:.2f}"


def plot(table: pd.DataFrame, path: Path) -> None:
    """Seconds per image of every side, one panel per setting."""
    panels = {
        ", ".join(f"{name} {value}" for name, value in zip(KEYS, key)): group.set_index("side")["seconds"]
        / key[1]
        for key, group in table.groupby(list(KEYS), sort=False)
    }
    plot_bars(panels, "seconds per image", path)


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        write_report(Path(argument), summary, markdown, plot)
