"""Whole runs, killed in another process and resumed, or shared by two; the tables stay the same."""

import importlib.util
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

PROGRAM = Path(__file__).parents[1] / "programs" / "tiny_run.py"
ROOT = Path(__file__).parents[3]
TABLES = ("opticam_table1", "opticam_table3", "opticam_tableA7", "opticam_tableA7_formulas")


def start(folder, fate="go", processes=1):
    """The program in other processes."""
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    command = [sys.executable, *(launcher if processes > 1 else []), str(PROGRAM)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    arguments = [str(folder / "results"), str(folder), fate]
    return subprocess.run(
        [*command, *arguments], env=environment, capture_output=True, text=True, timeout=300
    )


def run_here(folder):
    """The program in this process, which need not load the libraries again."""
    spec = importlib.util.spec_from_file_location("tiny_run", PROGRAM)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    threads = torch.get_num_threads()
    try:
        program.main(folder / "results", folder, "go")
    finally:
        torch.set_num_threads(threads)
    return measured(folder)


def measured(folder):
    """Every cell of every table as it is written; seconds, which no two runs share, left out."""
    tables = {name: pd.read_csv(folder / "tables" / f"{name}.csv", dtype=str) for name in TABLES}
    return {name: table[table["metric"] != "seconds_per_batch8"] for name, table in tables.items()}


def assert_same(tables, expected):
    for name, table in tables.items():
        pd.testing.assert_frame_equal(table, expected[name], check_exact=True)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run_here(tmp_path_factory.mktemp("whole"))


def test_the_tables_have_numbers(whole):
    for name, table in whole.items():
        assert (table["n"] == "7").sum() >= 20, name


@pytest.mark.parametrize("fate", ["commit 1", "write 8", "commit 38"])
def test_a_killed_run_resumes_to_the_same_tables(tmp_path, whole, fate):
    killed = start(tmp_path, fate)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "tables").exists()
    assert_same(run_here(tmp_path), whole)


def test_two_processes_give_the_tables_of_one(tmp_path, whole):
    done = start(tmp_path, processes=2)
    assert done.returncode == 0, done.stderr
    assert not list((tmp_path / "results").glob("*rank*"))
    assert_same(measured(tmp_path), whole)


def test_a_killed_pair_of_processes_resumes_as_one(tmp_path, whole):
    assert start(tmp_path, "commit 9", processes=2).returncode != 0
    assert_same(run_here(tmp_path), whole)
