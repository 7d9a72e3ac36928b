"""One published difference between two cells, which a paper asserts the sign of."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

from reproduce.published.numbers import published, tables


@dataclass(frozen=True)
class Comparison:
    """left - factor * right - offset, in the metric's unit, and the sign that is asserted of it.

    table, dataset, network: where the left cell is printed, under published names; right_table: where the right
    one is, by default in the same table. right is "" where a cell is compared with the number `offset`. sign is
    1, -1, or 0 for a tie, which is asserted to within `margin`. published is NaN where a cell is not printed.
    """

    table: str
    dataset: str
    network: str
    metric: str
    left: str
    right: str
    sign: int
    published: float = math.nan
    margin: float = 0.0
    factor: float = 1.0
    offset: float = 0.0
    right_table: str = ""

    @property
    def words(self) -> str:
        """What is asserted: "AD resnet50: Opti-CAM < Grad-CAM"."""
        factor = "" if self.factor == 1 else f"{self.factor:g} x "
        where = f" ({self.right_table})" if self.right_table else ""
        offset = "" if not self.offset else f"{self.offset:+g}" if self.right else f"{self.offset:g}"
        place = " ".join(part for part in (self.dataset, self.network) if part)
        return f"{self.metric} {place}: {self.left} {'=><'[self.sign]} {factor}{self.right}{where}{offset}"


@cache
def printed(table: str) -> dict[tuple[str, str, str, str], float]:
    """The values of a published table by dataset, network, metric and method; none of a table that is none."""
    if table not in tables():
        return {}
    rows = published(table)
    return dict(zip(zip(rows["dataset"], rows["network"], rows["metric"], rows["method"]), rows["value"]))


def published_difference(
    cell: tuple[str, str, str],
    left: tuple[str, str],
    right: tuple[str, str],
    factor: float = 1.0,
    offset: float = 0.0,
) -> float:
    """Of two printed numbers: cell is (dataset, network, metric), left and right (table, method)."""
    one = printed(left[0]).get((*cell, left[1]), math.nan)
    other = printed(right[0]).get((*cell, right[1]), math.nan) if right[1] else 0.0
    return float(one - factor * other - offset)
