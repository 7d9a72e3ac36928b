"""Line plots of many methods that stay apart in every colour vision and in print."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

from matplotlib.figure import Figure

Line = tuple[Sequence[float], Sequence[float]]
# Okabe and Ito (2008): eight colours that people with any colour vision can tell apart.
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#999999")
STYLES = ("-", "--", ":")
OURS = "Opti-CAM"


def line_figure(
    panels: Mapping[str, Mapping[str, Line]],
    *,
    title: str,
    across: str,
    up: str | Sequence[str],
    logarithmic: bool = False,
) -> Figure:
    """One panel beside the other, each with lines (x, y) by name, and one legend below.

    Opti-CAM's line is thick and black; up: label of the vertical axis, one for all or one per panel.
    """
    figure = Figure(figsize=(4.6 * len(panels), 4.4), layout="constrained")
    names = list(dict.fromkeys(name for lines in panels.values() for name in lines))
    looks = _looks(names)
    labels = [up] * len(panels) if isinstance(up, str) else list(up)
    for axis, (panel, lines), label in zip(
        figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), labels
    ):
        for name, (x, y) in lines.items():
            axis.plot(x, y, label=name, **looks[name])
        axis.set(title=panel, xlabel=across, ylabel=label)
        if logarithmic:
            axis.set_xscale("log")
        axis.grid(alpha=0.3)
    handles = {str(line.get_label()): line for axis in figure.axes for line in axis.get_lines()}
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=5, fontsize=8)
    figure.suptitle(title, fontsize=11)
    return figure


def _looks(names: Sequence[str]) -> dict[str, dict[str, object]]:
    """Colour, style and width of each line."""
    pairs = cycle((colour, style) for style in STYLES for colour in COLOURS[1:])
    looks = {name: next(pairs) for name in names if name != OURS}
    drawn = {
        name: {"color": colour, "linestyle": style, "linewidth": 1.3}
        for name, (colour, style) in looks.items()
    }
    return drawn | {OURS: {"color": COLOURS[0], "linestyle": "-", "linewidth": 2.2}}
