"""Lines of means over images, a figure for each network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from reproduce.experiments.line_plots import line_figure
from reproduce.experiments.opticam.saliency_experiment import image_counts, in_order, of_network


def mean_curves(
    rows: pd.DataFrame,
    name: str,
    title: str,
    panels: Mapping[str, Mapping[float, str]],
    start: Mapping[float, float] | None = None,
    **labels: Any,
) -> dict[str, Figure]:
    """A line for each method of stored rows; figures are called by `name` and network.

    title: with "{}" for the network. panels: by title, the metric at each place across. start: points that every line
    begins with. labels: of the axes, as `line_figure` takes them.
    """
    figures = {}
    start = start or {}
    for network in rows["network"].unique():
        own = of_network(rows, network)
        means = own.groupby(["method", "metric"])["value"].mean()
        lines = {
            panel: {
                method: (
                    [*start, *metrics],
                    [*start.values(), *(means[method, metric] for metric in metrics.values())],
                )
                for method in in_order(means.index.unique("method"))
            }
            for panel, metrics in panels.items()
        }
        words = f"{title.format(network)}, {image_counts(own)}"
        figures[f"{name}_{network}"] = line_figure(lines, title=words, **labels)
    return figures
