"""Ctrl-C: exit status 130, one line that says how to go on, and a second run that ends with the same tables."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from reproduce.__main__ import main
from reproduce.cli import running
from reproduce.workspace import interruption
from reproduce.workspace.store import Store

ROOT = Path(__file__).parents[3]
STAGE = """
source reproduce/environment.sh
say_how_to_go_on
stage "long work" {python} -c 'import time; print("ready", flush=True); time.sleep(60)'
echo "never reached"
"""


@pytest.fixture
def sigint():
    """SIGINT raises KeyboardInterrupt, also where the tests were started with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def run_main_table(monkeypatch, make_module_workspace, tmp_path):
    """Runs `run --only opticam-main` on the tiny workspace, in a folder by name; gives status and table."""
    monkeypatch.setattr(
        running, "workspace", lambda options: make_module_workspace(Path(options.results), count=4)
    )

    def run(name):
        folder = tmp_path / name
        arguments = ["--results", str(folder), "--output", str(folder / "out"), "--quiet"]
        status = main(["run", "--only", "opticam-main", *arguments])
        path = folder / "out" / "tables" / "opticam_table1.csv"
        table = pd.read_csv(path, dtype=str) if path.exists() else None
        return status, table

    return run


@pytest.mark.parametrize("at", [1, 9])
def test_an_interrupted_run_goes_on_to_the_same_table(sigint, monkeypatch, capsys, run_main_table, at):
    write, calls = Store.write, iter(range(1, 1000))

    def interrupted(store, rows):
        if next(calls) == at:
            signal.raise_signal(signal.SIGINT)
        write(store, rows)

    monkeypatch.setattr(Store, "write", interrupted)
    assert run_main_table("stopped") == (130, None)
    assert capsys.readouterr().err.strip().splitlines() == [
        "interrupted; nothing stored is lost, the same command goes on from here"
    ]
    monkeypatch.setattr(Store, "write", write)
    (status, table), (_, whole) = run_main_table("stopped"), run_main_table("whole")
    assert status == 0
    kept = table["metric"] != "seconds_per_batch8"
    pd.testing.assert_frame_equal(table[kept], whole[kept], check_exact=True)


def test_the_shell_script_stops_and_says_how_to_go_on():
    process = subprocess.Popen(
        ["bash", "-c", STAGE.format(python=sys.executable)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        assert "long work" in process.stdout.readline()
        assert process.stdout.readline() == "ready\n"
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the script and its child at once
        output, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert "never reached" not in output
    assert "the same command goes on from here" in errors


def test_all_sh_sets_it_up_before_the_work():
    lines = (ROOT / "reproduce" / "all.sh").read_text().splitlines()
    assert lines.index("say_how_to_go_on") < lines.index("prepare")


def test_ctrl_c_while_the_libraries_load_is_no_traceback():
    code = "import reproduce.workspace.interruption; raise KeyboardInterrupt"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert "the same command goes on from here" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(("rank", "lines"), [(None, 1), ("0", 1), ("1", 0)])
def test_of_several_processes_the_first_speaks(rank, lines, monkeypatch, capsys):
    """Also while the libraries are loaded, when only the hook can speak."""
    if rank is None:
        monkeypatch.delenv("RANK", raising=False)
    else:
        monkeypatch.setenv("RANK", rank)
    interruption._excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert capsys.readouterr().err.count(interruption.MESSAGE) == lines
