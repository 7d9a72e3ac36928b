"""Claims that compare methods: always on the images that both were measured on."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from reproduce.experiments.base import Claim
from reproduce.tables.metric_names import METRICS


def best(text: str, rows: pd.DataFrame, metric: str, ours: str, rivals: Iterable[str] | None = None) -> Claim:
    """Whether `ours` has a better mean than each rival (all other methods by default); a tie is no win.

    rows: one network's rows of the store. The evidence names the rival that comes closest, or is ahead most.
    """
    sign = 1 if METRICS[metric].better == "up" else -1
    return _extreme(text, rows, metric, ours, rivals, sign)


def worst(
    text: str, rows: pd.DataFrame, metric: str, ours: str, rivals: Iterable[str] | None = None
) -> Claim:
    """Whether `ours` has a worse mean than each rival; as `best`."""
    sign = -1 if METRICS[metric].better == "up" else 1
    return _extreme(text, rows, metric, ours, rivals, sign)


def means(rows: pd.DataFrame, metric: str, methods: Iterable[str]) -> pd.Series | None:
    """Mean of each method over the images that all of them were measured on; None where one is missing."""
    columns = _columns(rows, metric).reindex(columns=list(methods)).dropna()
    return columns.mean() if len(columns) else None


def of_network(rows: pd.DataFrame, network: str) -> pd.DataFrame:
    """The rows of one network."""
    return rows[rows["network"] == network]


def _extreme(
    text: str, rows: pd.DataFrame, metric: str, ours: str, rivals: Iterable[str] | None, sign: int
) -> Claim:
    """Whether sign x (mean of ours - mean of a rival) is positive for every rival."""
    columns = _columns(rows, metric)
    names = [name for name in (columns if rivals is None else rivals) if name in columns and name != ours]
    if ours not in columns or not names:
        return Claim(text, None, "not run")
    pairs = {name: columns[[ours, name]].dropna() for name in names}
    pairs = {name: pair for name, pair in pairs.items() if len(pair)}
    if not pairs:
        return Claim(text, None, f"{metric} of {ours} and of the others have no image in common")
    margins = {name: sign * (pair[ours] - pair[name]).mean() for name, pair in pairs.items()}
    closest = min(margins, key=margins.get)
    mine, other = pairs[closest].mean()
    digits = METRICS[metric].digits
    evidence = (
        f"{metric} {mine:.{digits}f} against {other:.{digits}f} of {closest}, {len(pairs[closest])} images"
    )
    return Claim(text, bool(margins[closest] > 0), evidence)


def _columns(rows: pd.DataFrame, metric: str) -> pd.DataFrame:
    """One row an image, one column a method."""
    return rows[rows["metric"] == metric].pivot(index="image", columns="method", values="value")
