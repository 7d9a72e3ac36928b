"""Stores and disks that fail: one clear line, the right exit status, and nothing lost but the batch in flight."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from robustness.running import command, finished, outcome, start

KIND = "reproduce run"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> tuple[Path, dict[str, str]]:
    """The results folder of an undisturbed run, and what it gave."""
    folder = tmp_path_factory.mktemp("whole")
    assert finished(start(KIND, folder)).returncode == 0
    return folder, outcome(KIND, folder)


@pytest.fixture
def small_disk(tmp_path):
    """resize(size) of a disk in memory, mounted at tmp_path/disk; skipped where mounting is not allowed."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(*options: str) -> bool:
        words = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)]
        return shutil.which("mount") is not None and not subprocess.run(words, capture_output=True).returncode

    if not mount("size=64k"):
        pytest.skip("this machine does not let us mount a small disk")
    yield place, lambda *options: mount("remount", *options)
    subprocess.run(["umount", "--lazy", str(place)], check=True)


def said(done: subprocess.CompletedProcess) -> str:
    """The one line on stderr."""
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1 and "Traceback" not in done.stderr, done.stderr
    return lines[0]


def test_a_full_disk(small_disk, python, fault, whole):
    place, remount = small_disk
    done = python("-m", *command(KIND, place / "results"))
    line = said(done)
    assert done.returncode == 1 and ("full" in line or "space" in line)
    assert remount("size=64m")
    assert python("-m", *command(KIND, place / "results")).returncode == 0
    assert outcome(KIND, place / "results") == whole[1]
    fault("full disk", "a disk of 64 kB, then a larger one", 1, "one line, status 1; then the same tables")


def test_a_disk_that_cannot_be_written(small_disk, python, fault):
    place, remount = small_disk
    assert remount("ro")
    done = python("-m", *command(KIND, place / "results"))
    assert done.returncode == 1 and "ead-only" in said(done)
    fault("read-only results", "a disk mounted read-only", 1, "one line, status 1")


def foreign_database(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE results (something TEXT)")
        connection.execute("PRAGMA user_version = 1")


def later_schema(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA user_version = 99")


DAMAGE = {
    "cut in the middle": lambda path: os.truncate(path, path.stat().st_size // 2),
    "its first page overwritten": lambda path: path.write_bytes(b"\xff" * 4096 + path.read_bytes()[4096:]),
    "a text file": lambda path: path.write_text("these are no results\n" * 50),
    "another program's database": foreign_database,
    "of a later schema": later_schema,
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("kind", DAMAGE)
@pytest.mark.parametrize("verb", ["run", "tables"])
def test_a_store_that_is_damaged_or_foreign(tmp_path, python, fault, whole, kind, verb):
    path = tmp_path / "results" / "results.sqlite"
    path.parent.mkdir()
    if kind not in ("a folder", "another program's database"):
        shutil.copy(whole[0] / "results.sqlite", path)
    DAMAGE[kind](path)
    before = path.read_bytes() if path.is_file() else b""
    words = command(KIND, path.parent)
    words[1] = verb
    done = python("-m", *(word for word in words if verb == "run" or word != "--quiet"))
    assert done.returncode in (1, 2) and "results.sqlite" in said(done)
    assert not path.is_file() or path.read_bytes() == before  # what somebody else wrote is left alone
    fault(
        "damaged or foreign store",
        f"{kind}; `{verb}`",
        1,
        f"one line, status {done.returncode}, left as it was",
    )


def wait_for_rows(folder: Path, process: subprocess.Popen) -> None:
    """Until something is stored, so that the run is in the middle."""
    path = folder / "results.sqlite"
    deadline = time.monotonic() + 300
    while process.poll() is None and time.monotonic() < deadline:
        if path.exists():
            try:
                with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as connection:
                    if connection.execute("SELECT COUNT(*) FROM results").fetchone()[0]:
                        return
            except sqlite3.Error:
                pass
        time.sleep(0.02)


def test_two_runs_at_once(tmp_path, fault, whole):
    processes = [start(KIND, tmp_path / "results") for _ in range(2)]
    for process in processes:
        done = finished(process)
        assert done.returncode == 0, done.stderr
    assert outcome(KIND, tmp_path / "results") == whole[1]
    fault("two runs at once", "the same command twice on one store", 1, "both end, the same tables")


def test_a_folder_that_is_removed_midway(tmp_path, fault):
    process = start(KIND, tmp_path / "results")
    wait_for_rows(tmp_path / "results", process)
    (tmp_path / "results").rename(tmp_path / "gone")  # all of it at once, whatever is written meanwhile
    shutil.rmtree(tmp_path / "gone")
    done = finished(process)
    assert done.returncode == 1 and "removed" in said(done)
    fault("results removed midway", "the folder deleted after the first rows", 1, "one line, status 1")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(tmp_path, python, fault, whole, number, status):
    process = start(KIND, tmp_path / "results")
    wait_for_rows(tmp_path / "results", process)
    process.send_signal(number)
    done = finished(process)
    assert done.returncode == status and "goes on from here" in said(done)
    assert python("-m", *command(KIND, tmp_path / "results")).returncode == 0
    assert outcome(KIND, tmp_path / "results") == whole[1]
    fault(
        number.name,
        "after the first rows, then again",
        1,
        f"one line, status {status}; the same tables",
    )
