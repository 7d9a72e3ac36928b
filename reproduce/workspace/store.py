"""Results of the experiments: one SQLite file, one row per image, network, method and metric."""

from __future__ import annotations

import json
import math
import sqlite3
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pandas as pd

if TYPE_CHECKING:
    import numpy as np
    import torch

SCHEMA_VERSION = 1
BUSY_SECONDS = 120.0  # how long a writer waits for another process's transaction

_SCHEMA = (
    """CREATE TABLE IF NOT EXISTS results (
        profile TEXT NOT NULL, experiment TEXT NOT NULL, network TEXT NOT NULL, method TEXT NOT NULL,
        image TEXT NOT NULL, metric TEXT NOT NULL, value REAL,
        PRIMARY KEY (profile, experiment, network, method, image, metric)) WITHOUT ROWID""",
    """CREATE TABLE IF NOT EXISTS runs (
        id TEXT PRIMARY KEY, "commit" TEXT NOT NULL, versions TEXT NOT NULL, device TEXT NOT NULL,
        seed INTEGER NOT NULL, arguments TEXT NOT NULL, start TEXT NOT NULL, "end" TEXT)""",
    """CREATE TABLE IF NOT EXISTS skips (
        profile TEXT NOT NULL, experiment TEXT NOT NULL, image TEXT NOT NULL, reason TEXT NOT NULL,
        PRIMARY KEY (profile, experiment, image)) WITHOUT ROWID""",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
)
# Later than version 1, which has all it needs without it: made wherever it is missing.
_STAGES = """CREATE TABLE IF NOT EXISTS stages (
    run TEXT NOT NULL, stage TEXT NOT NULL, seconds REAL NOT NULL, PRIMARY KEY (run, stage))"""
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


class Store:
    """Results, runs, their stages and skipped images in one SQLite file (write-ahead log).

    Every writing call is one transaction: a killed process loses at most the call in flight. Several
    processes may write the same file; each waits up to `BUSY_SECONDS` for the others. A NaN (a metric that
    is undefined for an image) is stored as NULL, counts as done, and is read back as NaN; infinities are
    kept as they are.

    Raises ValueError when `path` is not such a file or was written with another schema version.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self._naming_the_file():
            # isolation_level=None: transactions are begun here, explicitly, never by the driver.
            self.connection = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
            try:
                self._prepare()
            except (sqlite3.DatabaseError, ValueError) as error:
                self.connection.close()
                if isinstance(error, ValueError | sqlite3.OperationalError):
                    raise
                raise ValueError(f"path {str(self.path)!r} is not a results file: {error}") from error

    @contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        """What SQLite cannot do inside says in which file."""
        try:
            yield
        except sqlite3.OperationalError as error:
            if str(error).startswith(str(self.path)):
                raise
            raise sqlite3.OperationalError(f"{self.path}: {error}") from error

    def _prepare(self) -> None:
        version = self._version()
        self._use_write_ahead_log()
        # NORMAL cannot lose or damage a finished transaction when a process dies, only at a power cut.
        self.connection.execute("PRAGMA synchronous = NORMAL")
        if version == 0:
            with self._transaction():
                for statement in _SCHEMA:
                    self.connection.execute(statement)
        if not self.connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'stages'").fetchone():
            with self._transaction():
                self.connection.execute(_STAGES)

    def _version(self) -> int:
        """Of the schema, 0 where nothing is there yet.

        Raises ValueError for another program's file, before anything is written to it.
        """
        self.connection.execute("BEGIN")  # one view of what another process may just be making
        version: int = self.connection.execute("PRAGMA user_version").fetchone()[0]
        columns = {row[1] for row in self.connection.execute("PRAGMA table_info(results)")}
        tables = self.connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
        self.connection.execute("COMMIT")
        if version not in (0, SCHEMA_VERSION):
            raise ValueError(
                f"path {str(self.path)!r} has schema {version}; this code reads {SCHEMA_VERSION}"
            )
        if columns != set(Row._fields) if version else tables:
            raise ValueError(
                f"path {str(self.path)!r} is not a results file: it is another program's database"
            )
        return version

    def _use_write_ahead_log(self) -> None:
        # SQLite's busy timeout does not cover this switch: two processes creating one file collide at once.
        deadline = time.monotonic() + BUSY_SECONDS
        while self.connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            try:
                self.connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if "locked" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self.connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._naming_the_file():
            if not self.path.exists():  # SQLite would go on writing to what no longer has a name
                raise sqlite3.OperationalError("was removed while it was in use")
            try:
                # IMMEDIATE takes the write lock at once: a reader that becomes a writer later cannot wait its turn.
                self.connection.execute("BEGIN IMMEDIATE")
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:  # a full disk has ended it already
                    self.connection.execute("ROLLBACK")
                raise

    def write(self, rows: Iterable[Row]) -> None:
        """Insert the rows, replacing values already stored under the same key, in one transaction."""
        checked = [_checked(row) for row in rows]
        with self._transaction():
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
        with self._transaction():
            count = self.connection.execute(f"DELETE FROM results WHERE {where}", parameters).rowcount
            if not filters:
                self.connection.execute(
                    "DELETE FROM skips WHERE profile = ? AND experiment = ?", (profile, experiment)
                )
        return count

    def skip(self, profile: str, experiment: str, image: str, reason: str) -> None:
        """Record an image that cannot be measured (corrupt file, label out of range, no boxes) and why."""
        with self._transaction():
            self.connection.execute(
                "INSERT OR REPLACE INTO skips VALUES (?, ?, ?, ?)", (profile, experiment, image, reason)
            )

    def forget_skips(self, profile: str, experiment: str) -> None:
        """Forget which images were skipped, so that they are tried again."""
        with self._transaction():
            self.connection.execute(
                "DELETE FROM skips WHERE profile = ? AND experiment = ?", (profile, experiment)
            )

    def skips(self, profile: str, experiment: str) -> pd.DataFrame:
        """Skipped images as columns image, reason, sorted by image."""
        rows = self.connection.execute(
            "SELECT image, reason FROM skips WHERE profile = ? AND experiment = ? ORDER BY image",
            (profile, experiment),
        )
        return pd.DataFrame(rows.fetchall(), columns=["image", "reason"])

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
        with self._transaction():
            self.connection.execute("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?)", record)
        return run

    def end_run(self, run: str) -> None:
        """Record the time a run ended; a run without an end was interrupted."""
        with self._transaction():
            cursor = self.connection.execute('UPDATE runs SET "end" = ? WHERE id = ?', (_now(), run))
            if cursor.rowcount == 0:
                raise ValueError(f"run {run!r} is not in {str(self.path)!r}")

    def add_stage(self, run: str, stage: str, seconds: float) -> None:
        """Record how long a stage of a run took."""
        with self._transaction():
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
            with self._transaction():
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
