"""Two metrics against each other, one point per method: published hollow, measured filled, joined."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product

from matplotlib.figure import Figure

from opticam import METHODS
from reproduce.experiments.line_plots import COLOURS, OURS

MARKERS = ("o", "s", "^")
Point = tuple[float, float]
Pair = tuple[Point, Point]
"""Published, NaN where that is not, and measured."""


def dumbbell_figure(panels: Mapping[str, Mapping[str, Pair]], *, title: str, across: str, up: str) -> Figure:
    """One panel beside the other, each with a pair of points by method, and one legend below.

    A method has one colour and shape in all panels; Opti-CAM is black and larger.
    """
    figure = Figure(figsize=(4.6 * len(panels), 4.8), layout="constrained")
    looks = _looks()
    for axis, (panel, pairs) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items()):
        for name, (published, measured) in pairs.items():
            colour, marker, size = looks[name]
            axis.plot(*zip(published, measured), color=colour, linewidth=0.6, alpha=0.6)
            look = {"color": colour, "marker": marker, "markersize": size, "linestyle": "none"}
            axis.plot(*published, markerfacecolor="none", **look)
            axis.plot(*measured, label=name, **look)
        axis.set(title=panel, xlabel=across, ylabel=up)
        axis.grid(alpha=0.3)
    handles = {line.get_label(): line for axis in figure.axes for line in axis.get_lines()}
    named = {name: line for name, line in handles.items() if name in METHODS}
    figure.legend(named.values(), named.keys(), loc="outside lower center", ncols=6, fontsize=8)
    figure.suptitle(f"{title}: published hollow, measured filled", fontsize=11)
    return figure


def _looks() -> dict[str, tuple[str, str, float]]:
    """Colour, marker and size of each method of the papers."""
    others = [name for name in METHODS if name != OURS]
    looks = dict(zip(others, product(MARKERS, COLOURS[1:])))
    return {name: (colour, marker, 6.0) for name, (marker, colour) in looks.items()} | {
        OURS: (COLOURS[0], "o", 9.0)
    }
