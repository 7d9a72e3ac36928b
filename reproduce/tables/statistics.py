"""How sure a measured mean is, and whether it agrees with a published number."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student

CellVerdict = Literal["reproduced", "differs", "not comparable", "not run"]
CELL_VERDICTS: tuple[CellVerdict, ...] = ("reproduced", "differs", "not comparable", "not run")

RESAMPLES = 2000
CONFIDENCE = 0.95
_CHUNK = 64  # resamples weighed at once: 64 x 50,000 images is 26 MB


class Estimate(NamedTuple):
    """A mean over images or seeds, in the metric's unit, with its interval.

    `sd` divides by n - 1; it and the interval are NaN where n is too small to have them (n = 1), and so is
    the mean where n = 0. `n` counts the values that are not NaN.
    """

    mean: float
    sd: float
    n: int
    low: float
    high: float


def bootstrap(values: ArrayLike) -> list[Estimate]:
    """Percentile bootstrap of the mean over images, one estimate a column; the same bits for the same values.

    Args:
        values: [n, k] (or [n]: one column), one row per image, one column per metric; NaN where a metric is
            undefined for an image. All columns share the same resampled images, so one call for all metrics
            of a method costs little more than one metric.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    # Not scipy.stats.bootstrap: its resamples are copies of every column; counts that all calls share serve here.
    table = _columns(values)
    n = len(table)
    valid = ~np.isnan(table)
    if n < 2:
        return [_estimate(column, math.nan, math.nan) for column in table.T]
    sums = _resampled_sums(np.where(valid, table, 0.0), RESAMPLES)
    counts = _resampled_sums(valid, RESAMPLES)
    means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
    return [_estimate(column, *_limits(mean)) for column, mean in zip(table.T, means.T)]


def over_seeds(values: ArrayLike) -> Estimate:
    """Mean and standard deviation over independent runs, with Student's t interval of the mean.

    `values` is [n], one number per seed. A bootstrap of five runs would be too narrow; t assumes that runs
    scatter normally.
    """
    column = np.asarray(values, dtype=float)
    if column.ndim != 1:
        raise ValueError(f"values has shape {column.shape}; accepted is one dimension, a number per seed")
    plain = _estimate(column, math.nan, math.nan)
    if plain.n < 2:
        return plain
    half = student.ppf((1 + CONFIDENCE) / 2, plain.n - 1) * (plain.sd / math.sqrt(plain.n))
    return plain._replace(low=plain.mean - half, high=plain.mean + half)


def cell_verdict(
    published: float, measured: Estimate | None, tolerance: float | None, comparable: bool = True
) -> CellVerdict:
    """Whether a measured mean agrees with a published number.

    "not run" without a measured mean, whatever else holds; "not comparable" when `comparable` is false
    (another network or data set), or the published value or its tolerance is missing; "reproduced" when the
    published value lies in the interval widened by `tolerance` on both sides (without an interval, n = 1: in
    the mean widened by it); otherwise "differs".
    """
    if measured is None or math.isnan(measured.mean):
        return "not run"
    if not comparable or math.isnan(published) or tolerance is None or math.isnan(tolerance):
        return "not comparable"
    if tolerance < 0:
        raise ValueError(f"tolerance {tolerance} given; accepted is a number >= 0")
    low = measured.mean if math.isnan(measured.low) else measured.low
    high = measured.mean if math.isnan(measured.high) else measured.high
    slack = tolerance + 1e-9  # decimal fractions such as 66.3 - 0.3 are not exact in binary
    return "reproduced" if low - slack <= published <= high + slack else "differs"


def _columns(values: ArrayLike) -> NDArray[np.float64]:
    table = np.asarray(values, dtype=float)
    if table.ndim not in (1, 2):
        raise ValueError(f"values has shape {table.shape}; accepted is [n] or [n, k]")
    return table[:, None] if table.ndim == 1 else table


def resampled_means(table: NDArray[np.float64], resamples: int) -> NDArray[np.float64]:
    """Means [resamples,k] of the columns of [n,k] over resampled rows, the same rows for every column."""
    return _resampled_sums(table, resamples) / len(table)


def _resampled_sums(table: NDArray[np.float64], resamples: int) -> NDArray[np.float64]:
    columns = np.ascontiguousarray(table.T, dtype=float)
    sums = np.empty((resamples, len(columns)))
    for start in range(0, resamples, _CHUNK):
        weights = _multiplicities(len(table), resamples)[start : start + _CHUNK].astype(float)
        # einsum's own loop rounds alike whatever the threads and the other columns; a BLAS product may not.
        sums[start : start + _CHUNK] = np.einsum("rn,kn->rk", weights, columns)
    return sums


@lru_cache(maxsize=2)
def _multiplicities(n: int, resamples: int) -> NDArray[np.uint8]:
    """How often each of n images occurs in each resample, [resamples, n]; kept, as every method shares it."""
    generator = np.random.default_rng(0)
    counts = np.empty((resamples, n), dtype=np.uint8)
    for row in counts:
        row[:] = np.bincount(generator.integers(n, size=n), minlength=n)
    return counts


def _limits(means: NDArray[np.float64]) -> Sequence[float]:
    if np.isnan(means).all():
        return math.nan, math.nan
    return np.nanquantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]).tolist()


def _estimate(column: NDArray[np.float64], low: float, high: float) -> Estimate:
    known = column[~np.isnan(column)]
    mean = float(known.mean()) if len(known) else math.nan
    if len(known) < 2:
        return Estimate(mean, math.nan, len(known), math.nan, math.nan)
    return Estimate(mean, float(known.std(ddof=1)), len(known), low, high)
