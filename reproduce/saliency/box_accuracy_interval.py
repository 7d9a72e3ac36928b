"""BA of stored images, with its bootstrap interval: a maximum over thresholds of means over images."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from opticam.metrics.box_accuracy import THRESHOLDS
from reproduce.saliency.box_groups import HITS
from reproduce.tables.statistics import CONFIDENCE, RESAMPLES, Estimate, resampled_means


def box_accuracies(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per network and method, as `summarise` gives: BA in percent with its 95 % interval.

    rows: network, method, image, metric, value with the metrics `HITS`; images without boxes (NaN) are left out.
    """
    hits = rows[rows["metric"].isin(HITS)]
    found = []
    for names, group in hits.groupby(["network", "method"], sort=False):
        packed = group.pivot(index="image", columns="metric", values="value")[list(HITS)].dropna()
        found.append((*names, "BA", *box_accuracy_estimate(unpack_hits(packed.to_numpy()))))
    columns = ["network", "method", "metric", *Estimate._fields]
    return pd.DataFrame(found, columns=columns).rename(columns={"mean": "measured"})


def unpack_hits(packed: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Bool [N,D,T] of whole numbers [N,D] whose bit t tells whether an image is hit at threshold t."""
    return (packed.astype(np.int64)[..., None] >> np.arange(len(THRESHOLDS)) & 1).astype(bool)


def box_accuracy_estimate(hits: NDArray[np.bool_]) -> Estimate:
    """BA of hits [N,D,T]: per cent of images hit, at the best threshold, averaged over the smallest overlaps.

    The interval is the percentile bootstrap over images, as of the other metrics; sd is NaN, as BA is no mean.
    """
    count = len(hits)
    if not count:
        return Estimate(np.nan, np.nan, 0, np.nan, np.nan)
    mean = float(box_accuracy_of(hits.sum(0) / count))
    if count < 2:
        return Estimate(mean, np.nan, count, np.nan, np.nan)
    rates = resampled_means(hits.reshape(count, -1).astype(float), RESAMPLES)
    scores = box_accuracy_of(rates.reshape(-1, *hits.shape[1:]))
    low, high = np.quantile(scores, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(mean, np.nan, count, float(low), float(high))


def box_accuracy_of(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Per cent at the best threshold, averaged, of the shares of images hit [...,D,T]."""
    return 100 * np.asarray(rates.max(-1).mean(-1))
