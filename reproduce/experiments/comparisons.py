"""Rows and means that compare methods: always on the images that all were measured on."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd


def means(rows: pd.DataFrame, metric: str, methods: Iterable[str]) -> pd.Series | None:
    """Mean of each method over the images that all of them were measured on; None where one is missing."""
    chosen = rows[rows["metric"] == metric].pivot(index="image", columns="method", values="value")
    columns = chosen.reindex(columns=list(methods)).dropna()
    return columns.mean() if len(columns) else None


def of_network(rows: pd.DataFrame, network: str) -> pd.DataFrame:
    """The rows of one network."""
    return rows[rows["network"] == network]
