"""The Markdown table and the plot of the host's overhead, from its CSV alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from reproduce.benchmarks.bar_plots import plot_bars
from reproduce.benchmarks.reports import every, measured_with, table_lines

BASE = "torch.mul"
GOALS = {
    "saliency_mask, forward": 30 / 11,
    "saliency_mask, forward + backward": 120 / 11,
    "part_similarity, forward": 20 / 11,
    "part_similarity, forward + backward": 80 / 11,
}
"""In calls of torch.mul on a GPU: 30, 120, 20 and 80 microseconds where that took 11."""


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """One line a layer: median microseconds, calls of torch.mul in that time, and the goal."""
    medians = rows.groupby(["step", "layer"], sort=False)["microseconds"].median()
    base = medians.xs(BASE, level="layer")
    table = medians.reset_index()
    table["x torch.mul"] = table["microseconds"] / base.reindex(table["step"]).to_numpy()
    return table.assign(**{"goal on a GPU": table["layer"].map(GOALS)})


def markdown(table: pd.DataFrame, rows: pd.DataFrame) -> str:
    """The summary as a Markdown table under a few lines on what was measured."""
    doubles = [
        "The masking step's kernels are doubles that do nothing, on CPU tensors: Python and allocations count.",
        "Part similarity runs its steps in C++ at a size where they are next to nothing. Nothing is launched, not by",
        "torch.mul either. The goals are ratios on a GPU, where a launch is much of torch.mul's time, so here they are",
        "out of reach: a product alone, forward and backward, takes more. Compare the microseconds.",
    ]
    head = [
        f"# A call of either kernel on the host, {every(rows, 'device')}",
        "",
        f"{measured_with(rows)}; medians of {rows['turn'].max() + 1} turns, one image.",
        *(doubles if rows["threads"].notna().all() else ()),
        "",
    ]
    return "\n".join([*head, *table_lines(table, lambda _, value: f"{value:.1f}")]) + "\n"


def plot(table: pd.DataFrame, path: Path) -> None:
    """Microseconds of each layer, a panel for each kernel."""
    panels = {
        step: group.set_index("layer")["microseconds"] for step, group in table.groupby("step", sort=False)
    }
    plot_bars(panels, "microseconds", path)
