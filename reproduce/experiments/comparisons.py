"""Claims that compare methods: always on the images that both were measured on."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from reproduce.experiments.base import Claim
from reproduce.metric_names import METRICS


def best(text: str, rows: pd.DataFrame, metric: str, ours: str, rivals: Iterable[str] | None = None) -> Claim:
    """Whether `ours` has a better mean than each rival (all other methods by default); a tie is no win.

    rows: one network's rows of the store. The evidence names the rival that comes closest, or is ahead most.
    """
    columns = rows[rows["metric"] == metric].pivot(index="image", columns="method", values="value")
    names = [name for name in (columns if rivals is None else rivals) if name in columns and name != ours]
    if ours not in columns or not names:
        return Claim(text, None, "not run")
    sign = 1 if METRICS[metric].better == "up" else -1
    pairs = {name: columns[[ours, name]].dropna() for name in names}
    pairs = {name: pair for name, pair in pairs.items() if len(pair)}
    if not pairs:
        return Claim(text, None, f"{metric} of {ours} and of the others have no image in common")
    margins = {name: sign * (pair[ours] - pair[name]).mean() for name, pair in pairs.items()}
    closest = min(margins, key=margins.get)
    pair = pairs[closest]
    means = f"{_printed(metric, pair[ours].mean())} against {_printed(metric, pair[closest].mean())}"
    return Claim(text, bool(margins[closest] > 0), f"{metric} {means} of {closest}, {len(pair)} images")


def means(rows: pd.DataFrame, metric: str, methods: Iterable[str]) -> pd.Series | None:
    """Mean of each method over the images that all of them were measured on; None where one is missing."""
    columns = rows[rows["metric"] == metric].pivot(index="image", columns="method", values="value")
    columns = columns.reindex(columns=list(methods)).dropna()
    return columns.mean() if len(columns) else None


def of_network(rows: pd.DataFrame, network: str) -> pd.DataFrame:
    """The rows of one network."""
    return rows[rows["network"] == network]


def _printed(metric: str, value: float) -> str:
    return f"{value:.{METRICS[metric].digits}f}"
