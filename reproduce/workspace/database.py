"""The SQLite file behind the store: its tables, how it is opened, and transactions that say which file refused."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

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
_COLUMNS = {"profile", "experiment", "network", "method", "image", "metric", "value"}


class Database:
    """An open file with a write-ahead log; several processes may write it, each waits up to `BUSY_SECONDS`.

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
            with self.transaction():
                for statement in _SCHEMA:
                    self.connection.execute(statement)
        if not self.connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'stages'").fetchone():
            with self.transaction():
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
        if columns != _COLUMNS if version else tables:
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

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside, or nothing; a file that was removed meanwhile is a `sqlite3.OperationalError`."""
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


def in_use(path: Path) -> bool:
    """Whether another connection, of any process, has a file open: only its last user can leave the write-ahead log.

    What else hinders, such as a file of another user, is told where the file is opened to be read.
    """
    try:
        with closing(sqlite3.connect(path, timeout=0)) as connection:
            mode: str = connection.execute("PRAGMA journal_mode = DELETE").fetchone()[0]
            return mode != "delete"
    except sqlite3.OperationalError as error:
        return "locked" in str(error)
