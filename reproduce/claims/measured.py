"""What a profile's stored results say of each comparison: paired on the images, or seeds, that both sides have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from reproduce.claims.comparison import Comparison, printed
from reproduce.claims.intervals import (
    RESAMPLES,
    Bootstrap,
    Difference,
    acceleration,
    from_bootstrap,
    over_images,
    over_seeds,
)
from reproduce.experiments import EXPERIMENTS
from reproduce.saliency.box_accuracy_interval import box_accuracy_of, unpack_hits
from reproduce.saliency.box_groups import HITS
from reproduce.tables.cells import one_a_batch
from reproduce.tables.metric_names import SECONDS
from reproduce.tables.statistics import resampled_means
from reproduce.workspace.workspace import Workspace

BOX_ACCURACY = "BA"
NOTHING = pd.Series(dtype=float)
SEED = "seed "
"""What the names of repeats begin with that are training runs (`Experiment.results`), and no images."""


class Pair(NamedTuple):
    """Two sides of a comparison on the repeats that both have, and how many each has by itself.

    values: [n] differences of a metric that is a mean over images; left, right: [n,...] hits of box accuracy.
    """

    comparison: Comparison
    own: str
    repeats: pd.Index
    left: np.ndarray
    right: np.ndarray
    n_left: int
    n_right: int

    @property
    def values(self) -> np.ndarray:
        """The paired differences [n]."""
        return self.left - self.comparison.factor * self.right - self.comparison.offset

    @property
    def unit(self) -> str:
        """What the sides are paired over."""
        if self.comparison.metric == SECONDS:
            return "batches"
        return "seeds" if any(name.startswith(SEED) for name in self.repeats[:1]) else "images"


def stored_results(workspace: Workspace) -> Results:
    """Those of all experiments of the profile."""
    told = [experiment for experiment in EXPERIMENTS.values() if experiment.applies(workspace.profile)]
    return Results(
        {name: rows for experiment in told for name, rows in experiment.results(workspace).items()}
    )


class Results:
    """The stored results of all experiments by table, network, metric and method (`Experiment.results`)."""

    def __init__(self, tables: Mapping[str, pd.DataFrame]) -> None:
        self.tables = {name: rows for name, rows in tables.items() if len(rows)}
        self._sides: dict[tuple[str, ...], pd.DataFrame | pd.Series] = {}

    def networks(self, table: str, dataset: str, network: str) -> list[str]:
        """The measured networks that stand beside a published one in a table."""
        return [own for placed, beside, own in self.places(table) if (placed, beside) == (dataset, network)]

    def places(self, table: str) -> list[tuple[str, str, str]]:
        """What a table was measured on: data set, published and own network."""
        return self._places.get(table, [])

    def methods(self, table: str, own: str) -> list[str]:
        """The methods that a table was measured with on a network."""
        return list(dict.fromkeys(key[4] for key in self._columns if (key[0], key[2]) == (table, own)))

    def pair(self, comparison: Comparison, own: str) -> Pair:
        """Both sides on the images that both have; without any where a side is not measured."""
        left = self._side(comparison, comparison.table, comparison.left, own)
        if comparison.right:
            right = self._side(comparison, comparison.right_table or comparison.table, comparison.right, own)
        else:
            right = left * 0.0
        shared = left.index.intersection(right.index)
        if comparison.metric == SECONDS:
            shared = one_a_batch(left.loc[shared], right.loc[shared])
        first, second = (side.loc[shared].to_numpy() for side in (left, right))
        return Pair(comparison, own, shared, first, second, len(left), len(right))

    def has(self, table: str, dataset: str, own: str, metric: str, method: str) -> bool:
        """Whether anything is stored for a cell."""
        place = dataset if "dataset" in self.tables.get(table, ()) else ""
        name = HITS[0] if metric == BOX_ACCURACY else metric
        return (table, place, own, name, method) in self._columns

    def column(self, table: str, own: str, metric: str, method: str) -> pd.Series:
        """The values of a method by image, of a table of one data set; empty where nothing is stored."""
        return self._columns.get((table, "", own, metric, method), NOTHING)

    def _side(self, comparison: Comparison, table: str, method: str, own: str) -> pd.DataFrame | pd.Series:
        """One value per image, sorted by image, finite; of box accuracy one column per smallest overlap."""
        dataset = comparison.dataset if "dataset" in self.tables.get(table, ()) else ""
        key = (table, dataset, own, comparison.metric, method)
        if key not in self._sides:  # a row stands in as many comparisons as its table has rows
            self._sides[key] = self._read_side(*key)
        return self._sides[key]

    def _read_side(
        self, table: str, dataset: str, own: str, metric: str, method: str
    ) -> pd.DataFrame | pd.Series:
        of_boxes = metric == BOX_ACCURACY
        base = own.split(" [")[0]  # a network on raw pixels is set beside the same network on normalised ones
        keys = [
            [(table, dataset, label, name, method) for name in (HITS if of_boxes else (metric,))]
            for label in (own, base)
        ]
        measured = next((names for names in keys if set(names) <= self._columns.keys()), None)
        columns = [self._columns[key] for key in measured] if measured else [NOTHING] * len(keys[0])
        wide = pd.concat(columns, axis=1).replace([np.inf, -np.inf], np.nan).dropna()
        return wide if of_boxes else wide.iloc[:, 0]

    @cached_property
    def _places(self) -> dict[str, list[tuple[str, str, str]]]:
        found = {}
        for table, rows in self.tables.items():
            rows = rows if "dataset" in rows else rows.assign(dataset=dataset_of(table))
            lines = rows[["dataset", "network", "own"]].drop_duplicates()
            found[table] = list(lines.itertuples(index=False, name=None))
        return found

    @cached_property
    def _columns(self) -> dict[tuple[str, ...], pd.Series]:
        found = {}
        for table, rows in self.tables.items():
            rows = rows if "dataset" in rows else rows.assign(dataset="")
            for key, group in rows.groupby(["dataset", "own", "metric", "method"], observed=True, sort=False):
                place = table, *key
                found[place] = group.set_index("image")["value"].sort_index()
        return found


def dataset_of(table: str) -> str:
    """The data set of a published table that has one alone, otherwise ""."""
    found = dict.fromkeys(dataset for dataset, *_ in printed(table))
    return next(iter(found)) if len(found) == 1 else ""


def differences(pairs: Iterable[Pair]) -> list[Difference]:
    """The difference of each pair, in their order; pairs on the same images share their resamples."""
    pairs = list(pairs)
    found: dict[int, Difference] = {}
    groups: dict[tuple[str, ...], list[int]] = {}
    for place, pair in enumerate(pairs):
        margin = pair.comparison.margin
        if pair.unit == "seeds":
            found[place] = over_seeds(pair.values, margin)
        elif pair.comparison.metric == BOX_ACCURACY:
            found[place] = box_accuracy_difference(pair.left, pair.right, margin)
        else:
            groups.setdefault(tuple(pair.repeats), []).append(place)
    for places in groups.values():
        values = np.stack([pairs[place].values for place in places], axis=1)
        margins = [pairs[place].comparison.margin for place in places]
        found |= dict(zip(places, over_images(values, margins)))
    return [found[place] for place in range(len(pairs))]


def box_accuracy_difference(left: np.ndarray, right: np.ndarray, margin: float) -> Difference:
    """Of two box accuracies in per cent, bootstrapped over images; packed hits [n,D] each.

    Box accuracy is no mean over images: the best threshold is found anew in every resample.
    """
    n = len(left)
    if n < 2:
        mean = (
            np.subtract(*(box_accuracy_of(unpack_hits(side)[0]) for side in (left, right))) if n else np.nan
        )
        return Difference(float(mean), np.nan, n, np.nan, np.nan, np.nan)
    hits = [unpack_hits(side).astype(float) for side in (left, right)]

    def step(rates: list[np.ndarray]) -> np.ndarray:
        return np.subtract(*(box_accuracy_of(rate) for rate in rates))[..., None]

    resampled = step(
        [resampled_means(side.reshape(n, -1), RESAMPLES).reshape(-1, *side.shape[1:]) for side in hits]
    )
    without = step([(side.sum(0) - side) / (n - 1) for side in hits])
    found = Bootstrap(step([side.mean(0) for side in hits]), resampled, acceleration(-without), n)
    return from_bootstrap(found, np.sqrt(n) * resampled.std(0), np.array([margin]))[0]
