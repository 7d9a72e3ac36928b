"""A kernel benchmark at a glance, from its CSV alone: a heat map of the speed-ups over the rivals."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, TwoSlopeNorm
from matplotlib.figure import Figure

from opticam.plotting import write_figure

RIVALS = ("eager", "torch.compile")
"""How the names of other implementations begin; of several forms of one, the fastest stands for it."""

LOSS = "▼"
"""Marks a speed-up below 1, so that it is not told by colour alone."""

COLOURS = LinearSegmentedColormap.from_list("speed-up", ["#d55e00", "#ffffff", "#0072b2"])
HALF, WIDTH, ROW = 0.5, 4.6, 0.19


@dataclass(frozen=True)
class Kernel:
    """How the CSV files of a kernel are read.

    panel, line, column: columns of the CSV whose values, joined, name a panel, a line of it, and a column of it.
    time: the column of times. ours: the name of the own implementation.
    """

    name: str
    title: str
    panel: tuple[str, ...]
    line: tuple[str, ...]
    column: str
    time: str
    ours: str

    @property
    def keys(self) -> list[str]:
        """What rows of one piece of work agree in."""
        return [*self.panel, *self.line, self.column]


MASKING = Kernel(
    "masking",
    "The masking step",
    ("operation",),
    ("shape", "batch"),
    "dtype",
    "median_ms",
    "ours",
)
SIMILARITY = Kernel(
    "similarity",
    "Part similarity",
    ("pass", "entropy"),
    ("shape",),
    "precision",
    "least_ms",
    "ours (auto)",
)
KERNELS = (MASKING, SIMILARITY)


def speedups(kernel: Kernel, rows: pd.DataFrame) -> pd.DataFrame:
    """How many times as fast as each rival: one row per piece of work, with its panel, line, column and rival."""
    found = []
    for key, group in rows.groupby(kernel.keys, sort=False):
        times = group.groupby("implementation")[kernel.time].min()
        place = dict(zip(kernel.keys, map(str, key)))
        for rival in RIVALS:
            own = times[times.index.str.startswith(rival)]
            if kernel.ours in times and len(own):
                found.append((*_names(kernel, place), rival, own.min() / times[kernel.ours]))
    return pd.DataFrame(found, columns=["panel", "line", "column", "rival", "speed-up"])


def fastest(kernel: Kernel, rows: pd.DataFrame) -> Iterator[tuple[str, str, pd.Series]]:
    """Panel, side and row of every piece of work: ours, and the fastest eager form."""
    for key, group in rows.groupby(kernel.keys, sort=False):
        panel = _names(kernel, dict(zip(kernel.keys, map(str, key))))[0]
        sides = {"ours": group["implementation"] == kernel.ours}
        sides["eager"] = group["implementation"].str.startswith("eager")
        for side, chosen in sides.items():
            if chosen.any():
                yield panel, side, group[chosen].sort_values(kernel.time).iloc[0]


def _names(kernel: Kernel, place: dict[str, str]) -> tuple[str, str, str]:
    entropy = {"yes": "with entropy", "no": ""}
    panel = ", ".join(filter(None, (entropy.get(place[name], place[name]) for name in kernel.panel)))
    return panel, ", ".join(place[name] for name in kernel.line), place[kernel.column]


def is_loss(value: float) -> bool:
    """Whether a speed-up, as it is printed, lies below 1."""
    return round(value, 2) < 1


def printed(value: float) -> str:
    """A speed-up as it stands in its cell."""
    text = f"{value:.2f}" if value < 10 else f"{value:.1f}"
    return f"{text} {LOSS}" if is_loss(value) else text


def draw_speedups(table: pd.DataFrame, title: str, path: Path) -> None:
    """Write the heat map: a panel for each operation, a line for each size, a column for each type and rival."""
    columns = list(table[["column", "rival"]].drop_duplicates().itertuples(index=False, name=None))
    columns.sort(key=lambda pair: list(dict.fromkeys(table["column"])).index(pair[0]))
    panels = {name: group for name, group in table.groupby("panel", sort=False)}
    heights = [ROW * group["line"].nunique() for group in panels.values()]
    tall = sum(heights) + 0.28 * len(heights) + 0.85
    scale = TwoSlopeNorm(0, np.log2(HALF), max(1.0, np.log2(table["speed-up"].max())))
    figure = Figure(figsize=(WIDTH, tall), layout="constrained")
    axes = figure.subplots(len(panels), 1, squeeze=False, height_ratios=heights)[:, 0]
    for place, (axis, (name, group)) in enumerate(zip(axes, panels.items())):
        _heat(axis, group, columns, scale)
        axis.set_title(name, fontsize=8, loc="left", fontweight="bold", pad=3)
        if place == 0:
            names = ["\n".join((column, *rival.split("."))) for column, rival in columns]
            axis.set_xticks(range(len(columns)), names, fontsize=7)
            axis.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False)
    figure.suptitle(title, fontsize=9)
    save(figure, path)


def _heat(axis: Axes, group: pd.DataFrame, columns: Sequence[tuple[str, str]], scale: TwoSlopeNorm) -> None:
    lines = list(dict.fromkeys(group["line"]))
    cells = {
        (row.line, (row.column, row.rival)): row[-1] for row in group.itertuples(index=False, name="Row")
    }
    values = np.array([[cells.get((line, column), np.nan) for column in columns] for line in lines])
    axis.imshow(np.log2(values), cmap=COLOURS, norm=scale, aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        if not np.isnan(value):
            dark = scale(np.log2(value)) > 0.92
            axis.text(
                column,
                row,
                printed(value),
                ha="center",
                va="center",
                fontsize=7.5,
                color="white" if dark else "black",
            )
    axis.set_yticks(range(len(lines)), lines, fontsize=7.5)
    axis.set_xticks([])
    axis.tick_params(length=0)


def save(figure: Figure, path: Path) -> None:
    """The same bytes for the same numbers; letters stay letters, which keeps the file small."""
    with matplotlib.rc_context({"svg.hashsalt": path.stem, "svg.fonttype": "none"}):
        write_figure(figure, path, metadata={"Date": None})
