"""Whole runs in other processes: killed and resumed, or shared by two; the tables stay the same."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

PROGRAM = Path(__file__).parent / "programs" / "tiny_run.py"
ROOT = Path(__file__).parents[2]
TABLES = ("opticam_table1", "opticam_table3", "opticam_tableA7", "opticam_tableA7_formulas")


def start(results, tables, fate="go", processes=1):
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(launcher if processes > 1 else []), str(PROGRAM)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, str(results), str(tables), fate],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


def measured(folder):
    """Every cell of every table as it is written; seconds, which no two runs share, left out."""
    tables = {name: pd.read_csv(folder / "tables" / f"{name}.csv", dtype=str) for name in TABLES}
    return {name: table[table["metric"] != "seconds_per_batch8"] for name, table in tables.items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    done = start(folder / "results", folder)
    assert done.returncode == 0, done.stderr
    return measured(folder)


def test_the_tables_have_numbers(whole):
    for name, table in whole.items():
        assert (table["n"] == "7").sum() >= 20, name


@pytest.mark.parametrize("fate", ["write 1", "commit 1", "write 8", "commit 17", "commit 38"])
def test_a_killed_run_resumes_to_the_same_tables(tmp_path, whole, fate):
    killed = start(tmp_path / "results", tmp_path, fate)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "tables").exists()
    done = start(tmp_path / "results", tmp_path)
    assert done.returncode == 0, done.stderr
    for name, table in measured(tmp_path).items():
        pd.testing.assert_frame_equal(table, whole[name], check_exact=True)


def test_two_processes_give_the_tables_of_one(tmp_path, whole):
    done = start(tmp_path / "results", tmp_path, processes=2)
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "results").glob("*rank*"))
    for name, table in measured(tmp_path).items():
        pd.testing.assert_frame_equal(table, whole[name], check_exact=True)


def test_a_killed_pair_of_processes_resumes_as_one(tmp_path, whole):
    killed = start(tmp_path / "results", tmp_path, "commit 9", processes=2)
    assert killed.returncode != 0
    done = start(tmp_path / "results", tmp_path)
    assert done.returncode == 0, done.stderr
    for name, table in measured(tmp_path).items():
        pd.testing.assert_frame_equal(table, whole[name], check_exact=True)
