"""Each test here says what it tried, how often and how it ended; `--write-faults FILE` makes the table of it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from robustness.running import ROOT, child_environment

HEADER = """# Faults

What was tried on this code, how often, and how it ended. Written by `bash tests/robustness.sh`, not by hand; the same
tests run in a short form with all others. [What is read from where](security.md), and what is never executed.

| fault | what was tried | how often | outcome |
| --- | --- | ---: | --- |
"""


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="as often as docs/faults.md says")
    parser.addoption("--write-faults", type=Path, help="write the table of faults to this file")


@pytest.fixture
def often(request) -> Callable[[int, int], int]:
    """often(short, long): how often to try."""
    return lambda short, long: long if request.config.getoption("--long") else short


@pytest.fixture
def fault(record_property) -> Callable[..., None]:
    """fault(name, tried, times, outcome): a row of the table."""

    def record(name: str, tried: str, times: int, outcome: str) -> None:
        record_property("fault", (name, tried, f"{times:,}", outcome))

    return record


def pytest_configure(config):
    if not hasattr(config, "workerinput"):  # of several processes the first sees all reports
        config.pluginmanager.register(_Table(config.getoption("--write-faults")))


class _Table:
    def __init__(self, path: Path | None) -> None:
        self.path, self.rows = path, []

    def pytest_runtest_logreport(self, report) -> None:
        if report.when == "call":
            rows = [value for name, value in report.user_properties if name == "fault"]
            if report.failed:
                rows = [("failed", report.nodeid.partition("::")[2], "1", "FAILED")]
            self.rows += rows

    def pytest_sessionfinish(self) -> None:
        if self.path and self.rows:
            rows = {tuple(row[:2]): row for row in (*_rows_of(self.path), *self.rows)}
            lines = ["| " + " | ".join(rows[key]) + " |" for key in sorted(rows)]
            self.path.write_text(HEADER + "\n".join(lines) + "\n")


def _rows_of(path: Path) -> list[list[str]]:
    """The rows that the table has: those of tests that do not run this time stay."""
    if not path.is_file():
        return []
    lines = [line for line in path.read_text().splitlines() if line.startswith("| ")]
    return [line.removeprefix("| ").removesuffix(" |").split(" | ") for line in lines[2:]]


@pytest.fixture
def python() -> Callable[..., subprocess.CompletedProcess]:
    """python(*words): a program of its own, from the checkout, on one thread."""

    def run(*words: object, timeout: float = 600, **options) -> subprocess.CompletedProcess:
        environment = child_environment() | options.pop("env", {})
        return subprocess.run(
            [sys.executable, *map(str, words)],
            capture_output=True,
            text=True,
            timeout=timeout,
            env=environment,
            **{"cwd": ROOT} | options,
        )

    return run
