"""The cells of a table: published beside measured, with an interval and a verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from reproduce.published.numbers import split_label
from reproduce.tables.metric_names import METRICS, SECONDS
from reproduce.tables.statistics import CELL_VERDICTS, Estimate, bootstrap, cell_verdict, over_seeds

KEYS = ["dataset", "network", "method", "metric"]
_ESTIMATE = ["measured", "sd", "n", "low", "high"]
_OWN = ["measured_network", "measured_dataset"]
_PUBLISHED = ["published", "n_images", "tolerance", "tolerance_reason", "source", "note"]
_NUMBERS = ["published", "n_images", "tolerance", *_ESTIMATE]
_TEXTS = ["tolerance_reason", "source", "note", *_OWN]
_JUDGED = ["tolerance", "verdict", "reason", "source", "note"]
COLUMNS = [*KEYS, "base", "variant", *_OWN, "unit", "published", *_ESTIMATE, *_JUDGED]
OTHER = "another network or data set"
"""Why cells are not comparable where nothing else is said."""


def summarise(results: pd.DataFrame, *, seeds: bool = False) -> pd.DataFrame:
    """One row for each network, method and metric: measured (the mean), sd, n, low, high.

    `results` are the columns network, method, image, metric, value of `Store.frame`, and dataset if the table
    has several. The interval is the bootstrap over images, of seconds over batches, or with `seeds` (`image` then
    names a seed) Student's t over runs.
    """
    groups = [key for key in KEYS if key in results and key != "metric"]
    rows = []
    for names, group in results.groupby(groups, sort=False):
        table = group.pivot(index="image", columns="metric", values="value")
        estimates = map(over_seeds, table.to_numpy().T) if seeds else _over_images(table)
        rows += [(*names, metric, *estimate) for metric, estimate in zip(table.columns, estimates)]
    frame = pd.DataFrame(rows, columns=[*groups, "metric", *Estimate._fields])
    return frame.rename(columns={"mean": "measured"})


def _over_images(table: pd.DataFrame) -> list[Estimate]:
    """The estimate of each metric from values by image; of seconds one value a batch counts."""
    found = dict(zip(table.columns, bootstrap(table.to_numpy())))
    if SECONDS in found:
        seconds = table[SECONDS].dropna()
        found[SECONDS] = bootstrap(seconds[one_a_batch(seconds)].to_numpy())[0]
    return list(found.values())


def one_a_batch(*seconds: pd.Series) -> pd.Index:
    """One image of each batch, from the seconds of one method or of several by the same images.

    Images of a batch share its time, and are no repeats of the measurement.
    """
    return seconds[0].index[~pd.concat(seconds, axis=1).duplicated()]


def cells(
    published: pd.DataFrame,
    measured: pd.DataFrame | None = None,
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    beside: Mapping[str, str] | None = None,
    comparable: bool | Callable[[pd.Series], bool] = True,
    why: str | Callable[[pd.Series], str] = OTHER,
) -> pd.DataFrame:
    """One row per cell of the table: its keys, the published and the measured value, and the verdict.

    Args:
        published: a published table; may be empty.
        measured: from `summarise`; cells it lacks are "not run", cells the paper lacks "not comparable".
        rows: labels of the methods to keep, in order; all by default, first the paper's, then further ones.
        columns: networks to keep, in order, by their published name; all by default.
        beside: the published network or data set that a measured one stands beside, by the measured name:
            {"sample_resnet": "resnet50"}. `measured_network` and `measured_dataset` keep the own names.
        comparable: whether measured and published mean the same thing, for all cells or cell by cell.
        why: the reason given where `comparable` is false, for all cells or cell by cell.

    `comparable` and `why` see `n_images`, too: of how many the published number is, where that is known.
    The columns `base` and `variant` are the two parts of `method`. Raises ValueError for an unknown metric,
    for `rows` or `columns` that occur nowhere, for two measured results in one cell, and for results without
    a dataset beside a published table of several.
    """
    table = _joined(published, measured, beside or {})
    unknown = sorted(set(table["metric"]) - set(METRICS))
    if unknown:
        raise ValueError(f"metric: {', '.join(unknown)} given; accepted are {', '.join(METRICS)}")
    table = _ordered(_ordered(table, "network", columns, "columns"), "method", rows, "rows")
    judged = [_judge(cell, comparable, why) for _, cell in table.iterrows()]
    parts = [split_label(label) for label in table["method"]]
    table = table.assign(
        base=[base for base, _ in parts],
        variant=[variant for _, variant in parts],
        unit=[METRICS[metric].unit for metric in table["metric"]],
        verdict=[result for result, _ in judged],
        reason=[reason for _, reason in judged],
    )
    return table[COLUMNS].reset_index(drop=True)


def _joined(
    published: pd.DataFrame, measured: pd.DataFrame | None, beside: Mapping[str, str]
) -> pd.DataFrame:
    """Published cells in the paper's order, then measured cells the paper lacks; missing parts are NaN."""
    paper = published.rename(columns={"value": "published"}).set_index(KEYS)[_PUBLISHED]
    ours = _placed(measured, list(published["dataset"].unique()), beside).set_index(KEYS)
    if not ours.index.is_unique:
        cell = " / ".join(ours.index[ours.index.duplicated()][0])
        raise ValueError(f"measured has two results for the cell {cell}")
    index = paper.index.append(ours.index[~ours.index.isin(paper.index)])
    table = pd.concat([paper.reindex(index), ours.reindex(index)], axis=1).reset_index()
    table[_TEXTS] = table[_TEXTS].astype(object).fillna("")
    table[_NUMBERS] = table[_NUMBERS].astype(float)
    return table.assign(n=table["n"].fillna(0).astype(int))


def _placed(measured: pd.DataFrame | None, datasets: list[str], beside: Mapping[str, str]) -> pd.DataFrame:
    """Measured results under the published names, with their own names beside."""
    if measured is None or measured.empty:
        return pd.DataFrame(columns=[*KEYS, *_ESTIMATE, *_OWN])
    own = {f"measured_{name}": measured[name] for name in ("network", "dataset") if name in measured}
    if "dataset" not in measured:
        if len(datasets) > 1:
            raise ValueError(f"measured has no column dataset; the published table has {', '.join(datasets)}")
        measured = measured.assign(dataset=datasets[0] if datasets else "")
    placed = {key: measured[key].map(lambda name: beside.get(name, name)) for key in ("network", "dataset")}
    return measured.assign(measured_dataset="").assign(**own, **placed)


def _ordered(table: pd.DataFrame, key: str, wanted: Sequence[str] | None, argument: str) -> pd.DataFrame:
    if wanted is None:
        return table
    known = table[key].unique()
    absent = [name for name in wanted if name not in known]
    if absent:
        raise ValueError(f"{argument}: {', '.join(absent)} given; the table has {', '.join(known)}")
    rank = {name: position for position, name in enumerate(wanted)}
    kept = table[table[key].isin(rank)]
    return kept.sort_values(key, key=lambda names: names.map(rank), kind="stable")


def _judge(
    cell: pd.Series,
    comparable: bool | Callable[[pd.Series], bool],
    why: str | Callable[[pd.Series], str],
) -> tuple[str, str]:
    """The verdict of one cell and its reason."""
    same = comparable(cell) if callable(comparable) else comparable
    estimate = Estimate(cell["measured"], cell["sd"], cell["n"], cell["low"], cell["high"])
    result = cell_verdict(cell["published"], estimate, cell["tolerance"], same)
    if result == "not run":
        return result, "no result is stored"
    if result == "not comparable" and np.isnan(cell["published"]):
        return result, "the paper has no such cell"
    if result == "not comparable" and not same:
        return result, why(cell) if callable(why) else why
    return result, cell["tolerance_reason"]


def count_verdicts(tables: Iterable[pd.DataFrame]) -> Counter[str]:
    """How many cells have each verdict, of tables of cells (`Table.cells`)."""
    return sum((Counter(cells["verdict"]) for cells in tables), Counter())


def measured_counts(cells: pd.DataFrame) -> str:
    """How many images or runs are behind the measured means, "48" or "4 to 48"; "" for none. Seconds are of batches."""
    counts = cells.loc[(cells["n"] > 0) & (cells["metric"] != SECONDS), "n"]
    if counts.empty:
        return ""
    low, high = counts.min(), counts.max()
    return f"{low}" if low == high else f"{low} to {high}"


def verdict_words(counts: Counter[str]) -> str:
    """The counts in words: "3 reproduced, 1 differs, 20 not comparable, 4 not run"."""
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in CELL_VERDICTS)


def reasons(cells: pd.DataFrame) -> list[str]:
    """Why cells have no verdict of agreement or difference, with how many each reason is of."""
    counts = cells[~cells["verdict"].isin(["reproduced", "differs"])].groupby(["verdict", "reason"]).size()
    return [f"{count} {verdict}: {reason}" for (verdict, reason), count in counts.items()]
