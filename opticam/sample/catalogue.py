"""Which part types exist and which of them make up each class."""

from __future__ import annotations

from functools import lru_cache
from itertools import combinations, product

import numpy as np

from opticam.sample.painting import PartType
from opticam.sample.shapes import SHAPES
from opticam.sample.textures import PATTERNS

HUES = (0.0, 0.09, 0.16, 0.36, 0.58, 0.8)
TONES = (0.1, 0.95)


@lru_cache
def _shuffled_part_types() -> tuple[PartType, ...]:
    """Every shape x pattern x hue x tone once, in a fixed random order."""
    looks = list(product(SHAPES, PATTERNS, HUES, TONES))
    order = np.random.default_rng(20240405).permutation(len(looks))
    return tuple(PartType(*looks[i]) for i in order)


def part_types(first: int, count: int) -> tuple[PartType, ...]:
    """``count`` part types from position ``first`` on; data sets with disjoint ranges share none."""
    return _shuffled_part_types()[first : first + count]


@lru_cache
def class_part_sets(classes: int, parts: int, per_class: int, shared: int) -> tuple[tuple[int, ...], ...]:
    """Part ids of each class: ``per_class`` of ``parts`` ids, at most ``shared`` of them in any other class.

    Every part is needed by several classes, so that none of them gives a class away. Among the sets that
    are still allowed, the one whose parts have been used least is taken; ties are broken at random, with a
    fixed seed. Raises ``ValueError`` if there are not enough such sets.
    """
    candidates = list(combinations(range(parts), per_class))
    np.random.default_rng(parts).shuffle(candidates)
    used = np.zeros(parts)
    chosen: list[tuple[int, ...]] = []
    for _ in range(classes):
        allowed = [c for c in candidates if all(len(set(c) & set(other)) <= shared for other in chosen)]
        if not allowed:
            raise ValueError(f"classes={classes} is too many for sets of {per_class} out of {parts} parts")
        best = min(allowed, key=lambda ids: (used[list(ids)] ** 2).sum())
        chosen.append(best)
        used[list(best)] += 1
    return tuple(chosen)
