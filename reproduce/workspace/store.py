"""Results of the experiments: one SQLite file, one row per image, network, method and metric."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

from reproduce.workspace.database import Database

if TYPE_CHECKING:
    import numpy as np
    import torch

_FILTERS = ("network", "method", "image", "metric")
_TABLES = ("results", "runs", "skips", "stages")


class Row(NamedTuple):
    """One measured value; all fields but the last are its key."""

    profile: str
    experiment: str
    network: str
    method: str
    image: str
    metric: str
    value: float


def batch_rows(
    profile: str,
    experiment: str,
    network: str,
    method: str,
    images: Sequence[str],
    values: Mapping[str, Sequence[float] | np.ndarray | torch.Tensor],
) -> list[Row]:
    """Rows of one batch: `values` maps a metric's name to one number per image (list, array or tensor)."""
    for metric, column in values.items():
        if len(column) != len(images):
            raise ValueError(f"values[{metric!r}] has {len(column)} entries for {len(images)} images")
    return [
        Row(profile, experiment, network, method, image, metric, float(value))
        for metric, column in values.items()
        for image, value in zip(images, column)
    ]


class Store(Database):
    """Results, runs, their stages and skipped images in one SQLite file (write-ahead log).

    Every writing call is one transaction: a killed process loses at most the call in flight. A NaN (a metric
    that is undefined for an image) is stored as NULL, counts as done, and is read back as NaN; infinities are
    kept as they are.
    """

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def write(self, rows: Iterable[Row]) -> None:
        """Insert the rows, replacing values already stored under the same key, in one transaction."""
        checked = [_checked(row) for row in rows]
        with self.transaction():
            self.connection.executemany(
                "INSERT OR REPLACE INTO results VALUES (?, ?, ?, ?, ?, ?, ?)", checked
            )

    def done(
        self, profile: str, experiment: str, network: str, method: str, metrics: Iterable[str]
    ) -> set[str]:
        """Images that already have every one of `metrics` for this network and method."""
        wanted = _names("metrics", metrics)
        found = self.connection.execute(
            """SELECT image FROM results WHERE profile = ? AND experiment = ? AND network = ? AND method = ?
            AND metric IN (SELECT value FROM json_each(?)) GROUP BY image HAVING COUNT(*) = ?""",
            (profile, experiment, network, method, json.dumps(wanted), len(wanted)),
        )
        return {image for (image,) in found}

    def methods(self, profile: str, experiment: str, network: str) -> list[str]:
        """Labels of the methods that have any result for a network, sorted."""
        found = self.connection.execute(
            """SELECT DISTINCT method FROM results WHERE profile = ? AND experiment = ? AND network = ?
            ORDER BY method""",
            (profile, experiment, network),
        )
        return [method for (method,) in found]

    def frame(self, profile: str, experiment: str, **filters: str | Iterable[str]) -> pd.DataFrame:
        """Results as columns network, method, image, metric, value, sorted by key.

        `filters` keeps rows whose network, method, image or metric is, or is among, the names given.
        """
        where, parameters = _where(profile, experiment, filters)
        columns = [*_FILTERS, "value"]
        query = f"SELECT {', '.join(columns)} FROM results WHERE {where} ORDER BY {', '.join(_FILTERS)}"
        frame = pd.DataFrame(self.connection.execute(query, parameters).fetchall(), columns=columns)
        return frame.astype({"value": float})

    def delete(self, profile: str, experiment: str, **filters: str | Iterable[str]) -> int:
        """Remove an experiment's results, without filters its skips too; return how many values went."""
        where, parameters = _where(profile, experiment, filters)
        with self.transaction():
            count = self.connection.execute(f"DELETE FROM results WHERE {where}", parameters).rowcount
            if not filters:
                self.connection.execute(
                    "DELETE FROM skips WHERE profile = ? AND experiment = ?", (profile, experiment)
                )
        return count

    def skip(self, profile: str, experiment: str, image: str, reason: str) -> None:
        """Record an image that cannot be measured (corrupt file, label out of range, no boxes) and why."""
        with self.transaction():
            self.connection.execute(
                "INSERT OR REPLACE INTO skips VALUES (?, ?, ?, ?)", (profile, experiment, image, reason)
            )

    def forget_skips(self, profile: str, experiment: str, images: Iterable[str] | None = None) -> None:
        """Forget which images, or that these of them, were skipped, so that they are tried again."""
        where, given = "profile = ? AND experiment = ?", [profile, experiment]
        if images is not None:
            where += " AND image IN (SELECT value FROM json_each(?))"
            given.append(json.dumps(list(images)))
        with self.transaction():
            self.connection.execute(f"DELETE FROM skips WHERE {where}", given)

    def skips(self, profile: str, *experiments: str) -> pd.DataFrame:
        """Skipped images of some experiments as columns image, reason, sorted by image."""
        rows = self.connection.execute(
            """SELECT image, reason FROM skips WHERE profile = ?
            AND experiment IN (SELECT value FROM json_each(?)) ORDER BY image, experiment""",
            (profile, json.dumps(experiments)),
        )
        return pd.DataFrame(rows.fetchall(), columns=["image", "reason"])

    def skip_kinds(self, profile: str) -> list[str]:
        """Experiments of a profile that have skipped images, sorted."""
        found = self.connection.execute(
            "SELECT DISTINCT experiment FROM skips WHERE profile = ? ORDER BY experiment", (profile,)
        )
        return [kind for (kind,) in found]

    def start_run(
        self,
        *,
        commit: str,
        versions: Mapping[str, str],
        device: str,
        seed: int,
        arguments: Mapping[str, object],
    ) -> str:
        """Record what is about to run, in which environment, and return the run's id for `end_run`."""
        run = uuid.uuid4().hex
        record = (
            run,
            commit,
            json.dumps(dict(versions)),
            device,
            seed,
            json.dumps(dict(arguments)),
            _now(),
            None,
        )
        with self.transaction():
            self.connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", record)
        return run

    def end_run(self, run: str) -> None:
        """Record the time a run ended; a run without an end was interrupted."""
        with self.transaction():
            cursor = self.connection.execute('UPDATE runs SET "end" = ? WHERE id = ?', (_now(), run))
            if cursor.rowcount == 0:
                raise ValueError(f"run {run!r} is not in {str(self.path)!r}")

    def add_stage(self, run: str, stage: str, seconds: float) -> None:
        """Record how long a stage of a run took."""
        with self.transaction():
            self.connection.execute("INSERT OR REPLACE INTO stages VALUES (?, ?, ?)", (run, stage, seconds))

    def stages(self) -> pd.DataFrame:
        """Stages as columns run, stage, seconds, in the order of the runs' starts."""
        rows = self.connection.execute(
            """SELECT run, stage, seconds FROM stages JOIN runs ON runs.id = stages.run
            ORDER BY start, stages.rowid"""
        )
        return pd.DataFrame(rows.fetchall(), columns=["run", "stage", "seconds"])

    def content(self, profile: str) -> Iterator[tuple[object, ...]]:
        """Every result and skip of a profile, in the order of their keys."""
        for table in ("results", "skips"):
            key = "experiment, network, method, image, metric" if table == "results" else "experiment, image"
            yield from self.connection.execute(
                f"SELECT * FROM {table} WHERE profile = ? ORDER BY {key}", (profile,)
            )

    def runs(self) -> pd.DataFrame:
        """Runs by start: id, commit, versions, device, seed, arguments, start, end (UTC, ISO 8601)."""
        cursor = self.connection.execute("SELECT * FROM runs ORDER BY start, id")
        columns = [column[0] for column in cursor.description]
        frame = pd.DataFrame(cursor.fetchall(), columns=columns)
        return frame.assign(**{name: frame[name].map(json.loads) for name in ("versions", "arguments")})

    def merge(self, other: str | Path) -> None:
        """Copy all of another store into this one, its values winning; repeating it changes nothing."""
        if not Path(other).is_file():
            raise FileNotFoundError(f"other: no results file at {str(other)!r}")
        Store(other).close()  # refuses anything that is not a results file
        self.connection.execute("ATTACH DATABASE ? AS other", (str(other),))
        try:
            with self.transaction():
                for table in _TABLES:
                    self.connection.execute(
                        f"INSERT OR REPLACE INTO main.{table} SELECT * FROM other.{table}"
                    )
        finally:
            self.connection.execute("DETACH DATABASE other")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="microseconds")


def _names(argument: str, given: str | Iterable[str]) -> list[str]:
    names = [given] if isinstance(given, str) else sorted(set(given))
    if not names:
        raise ValueError(f"{argument} is empty; give at least one name")
    return names


def _where(
    profile: str, experiment: str, filters: Mapping[str, str | Iterable[str]]
) -> tuple[str, list[str]]:
    """SQL condition and its parameters; lists travel as JSON, so their length has no limit."""
    unknown = sorted(set(filters) - set(_FILTERS))
    if unknown:
        raise ValueError(f"filters: {', '.join(unknown)} given; accepted are {', '.join(_FILTERS)}")
    conditions, parameters = ["profile = ?", "experiment = ?"], [profile, experiment]
    for column, given in filters.items():
        conditions.append(f"{column} IN (SELECT value FROM json_each(?))")
        parameters.append(json.dumps(_names(column, given)))
    return " AND ".join(conditions), parameters


def _checked(row: Row) -> tuple[str | float | None, ...]:
    *key, value = row
    if len(key) != len(Row._fields) - 1 or not all(isinstance(part, str) for part in key):
        raise TypeError(f"rows: {row!r} given; accepted is {Row._fields} with text keys and a number")
    number = float(value)
    return (*key, None if math.isnan(number) else number)
