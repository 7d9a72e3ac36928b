"""The rule that judges a comparison, written before any result: see `verdict`.

A published ordering "agrees" where the 95 % interval of the paired difference lies on the published side of zero,
is "contradicted" where it lies on the other side, and is "inconclusive" where it holds zero. A published tie agrees
where the interval lies within half the printed digit of zero, and is contradicted where it lies outside. Nothing
measured is "not run". No reason written by hand changes a verdict.

Beside it stands the verdict after Holm's adjustment. A family is one table's orderings, or the comparisons of one
assertion, but comparisons of seconds are a family of their own: they change from run to run, and would move adjusted
verdicts whose numbers do not.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from reproduce.claims.comparison import Comparison
from reproduce.claims.intervals import Difference, repeats_needed
from reproduce.tables.statistics import CONFIDENCE

Verdict = Literal["agrees", "contradicts", "inconclusive", "not run"]
VERDICTS: tuple[Verdict, ...] = ("contradicts", "agrees", "inconclusive", "not run")
LEVEL = 1 - CONFIDENCE


def verdict(comparison: Comparison, found: Difference, p: float | None = None) -> Verdict:
    """The verdict by the difference's own p-value, or by an adjusted one."""
    if found.n == 0:
        return "not run"
    if not (found.p if p is None else p) < LEVEL:
        return "inconclusive"
    if comparison.sign == 0:
        return "agrees" if abs(found.mean) < comparison.margin else "contradicts"
    return "agrees" if found.mean * comparison.sign > 0 else "contradicts"


def all_of(verdicts: Sequence[Verdict]) -> Verdict:
    """Of an assertion that rests on several comparisons: all must agree, and one contradicts it."""
    for worst in ("contradicts", "not run", "inconclusive"):
        if worst in verdicts:
            return worst
    return "agrees" if verdicts else "not run"


def holm(p: Sequence[float]) -> np.ndarray:
    """Adjusted p-values of one family, NaN where there is none (Holm, Scandinavian Journal of Statistics 6, 1979)."""
    values = np.asarray(p, float)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted = np.full(len(values), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * values[order]), 1.0)
    return adjusted


def needed(comparison: Comparison, found: Difference) -> int | None:
    """How many images or seeds would decide an inconclusive comparison at 80 % power; None where none would."""
    boundaries = (-comparison.margin, comparison.margin)
    return repeats_needed(min(abs(found.mean - boundary) for boundary in boundaries), found.sd)
