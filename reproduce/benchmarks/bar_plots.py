"""A benchmark's plot as bars: one panel per case, one bar per side."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd

from reproduce.benchmarks.reports import save_svg


def plot_bars(panels: Mapping[str, pd.Series], label: str, path: Path) -> None:
    """Write an SVG file, the same bytes for the same numbers.

    panels: title -> numbers by the name of their bar. label: what the numbers are.
    """
    heights = [0.3 * len(values) + 0.9 for values in panels.values()]
    layout: dict[str, Any] = {"figsize": (7, sum(heights)), "height_ratios": heights, "squeeze": False}
    figure, axes = plt.subplots(len(panels), 1, **layout)
    for axis, (title, values) in zip(axes[:, 0], panels.items()):
        bars = axis.barh(values.index.astype(str), values)
        axis.bar_label(bars, fmt="{:.4g}", fontsize=8, padding=2)
        axis.margins(x=0.12)
        axis.invert_yaxis()
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=8)
    axis.set_xlabel(label, fontsize=9)
    save_svg(figure, path, path.stem)
