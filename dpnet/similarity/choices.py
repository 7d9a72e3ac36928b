"""What "auto" takes on a GPU: the backend that the benchmark found fastest in the nearest case that it measured.

`python -m reproduce.benchmarks.similarity.choices` writes the table from the benchmark's committed rows; nothing is
timed when a program runs.
"""

from __future__ import annotations

import csv
import math
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

TABLE = Path(__file__).with_name("fastest_cuda.csv")
LARGEST_EAGER = 32 * 2**20
"""Bytes of similarities up to which `eager` may be taken: "auto" does not hold all of them where they are many."""


class Case(NamedTuple):
    """What decides: the GPU and what is asked of it, then sizes."""

    capability: str  # "9.0"
    precision: str  # float32, tf32 or bfloat16, which stands for float16 too
    way: str  # forward, or forward + backward
    entropy: str  # yes or no
    regions: int
    parts: int
    depth: int


@lru_cache(maxsize=1024)
def fastest(case: Case) -> str | None:
    """The backend of the nearest measured case of the same kind, by the ratios of sizes; None where there is none."""
    near = [row for row in _rows() if row[0][:4] == case[:4]]
    return min(near, key=lambda row: _distance(row[0], case))[1] if near else None


@lru_cache(maxsize=1)
def _rows() -> list[tuple[Case, str]]:
    if not TABLE.exists():
        return []
    with TABLE.open(encoding="utf-8", newline="") as file:
        return [_row(line) for line in csv.DictReader(file)]


def _row(line: dict[str, str]) -> tuple[Case, str]:
    sizes = {name: int(line[name]) for name in ("regions", "parts", "depth")}
    return Case(line["capability"], line["precision"], line["way"], line["entropy"], **sizes), line["backend"]


def _distance(one: Case, other: Case) -> float:
    """How far two cases lie apart: the sum of the logarithms of the ratios of their sizes."""
    return sum(abs(math.log(a / b)) for a, b in zip(one[4:], other[4:]))
