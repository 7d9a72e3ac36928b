"""What the main job shows: a line for each stage with its time and the expected one, details in a log."""

import csv
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from reproduce.experiments.computing import MEASURED, expected_seconds

ROOT = Path(__file__).parents[3]
BEGIN = "set -euo pipefail\nsource reproduce/environment.sh\nLOG=$1\n"
STAGE = "stage a: begins, expected up to 3 s", "stage a: done in 2.0 s, expected up to 3 s"
WORK = "; ".join(f"print('{text}')" for text in ("noise", *STAGE))


def in_table(*place):
    """The seconds of a profile, a limit and a stage, or None."""
    with MEASURED.open(encoding="utf-8", newline="") as lines:
        return next((float(line[3]) for line in csv.reader(lines) if tuple(line[:3]) == place), None)


def shell(script, tmp_path, **options):
    command = ["bash", "-c", BEGIN + script, "test", str(tmp_path / "log"), sys.executable]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, **options)


def test_a_stage_is_one_line_with_its_time_and_the_expected_one(tmp_path):
    done = shell(f'stage "build the extensions" "$2" -c "{WORK}"', tmp_path)
    assert done.returncode == 0, done.stderr
    lines = re.sub(r"(?<=extensions: done in )\d+", "N", done.stdout).splitlines()  # seconds of this machine
    assert lines == [
        "   a: done in 2.0 s, expected up to 3 s",
        "== build the extensions: done in N s, expected 40 s",
    ]
    assert "noise" in (tmp_path / "log").read_text()


def test_a_stage_that_fails_shows_the_end_of_the_log_and_its_own_status(tmp_path):
    done = shell('stage "odd" "$2" -c "import sys; print(\'why\'); sys.exit(3)"; echo never', tmp_path)
    assert done.returncode == 3 and "never" not in done.stdout
    assert "why" in done.stderr
    assert done.stderr.splitlines()[-1].endswith(f"(exit status 3); all of it: {tmp_path / 'log'}")


def test_on_a_terminal_the_line_is_there_from_the_beginning(tmp_path):
    ours, theirs = pty.openpty()
    script = BEGIN + 'EXPECTED_OF=sample,2 stage "experiments" true'
    subprocess.run(["bash", "-c", script, "test", str(tmp_path / "log")], cwd=ROOT, stdout=theirs, check=True)
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    first, last = shown.rstrip().split("\r\033[K")
    expected = f"expected {in_table('sample', '2', 'experiments'):.0f} s"
    assert first == f"== experiments, {expected}"
    assert re.fullmatch(rf"== experiments: done in \d+ s, {expected}", last)


def test_the_end_says_where_to_look_and_what_the_verdicts_are(tmp_path):
    said = [
        "table   x",
        "report  /a/b/report.html",
        "report  /a/b/REPORT.md",
        "3 contradicts",
        "2 images skipped",
    ]
    (tmp_path / "log").write_text("\n".join(["report  /photographs/report.html", *said]) + "\n")
    done = shell("show_result", tmp_path)
    assert done.stdout.splitlines() == ["3 contradicts", "2 images skipped", "open /a/b/report.html"]
    (tmp_path / "log").write_text("report  /a/report.html is up to date\n4 agrees\n")
    assert shell("show_result", tmp_path).stdout.splitlines() == ["4 agrees", "open /a/report.html"]
    (tmp_path / "log").write_text("nothing of a report\n")
    assert shell("show_result", tmp_path).stdout == ""


def add_run(workspace, limit, seconds):
    arguments = {"profile": "sample"} | ({"limit": limit} if limit else {})
    run = workspace.store.start_run(commit="c", versions={}, device="d", seed=0, arguments=arguments)
    workspace.store.add_stage(run, "dpnet-main", seconds)


@pytest.mark.parametrize(("limit", "known"), [(None, True), (2, True), (5, False)])
def test_what_is_expected_was_measured_here_or_is_in_the_table(make_parts_workspace, limit, known):
    workspace = make_parts_workspace(limit=limit)
    object.__setattr__(workspace.profile, "name", "sample")
    measured = in_table("sample", str(limit or ""), "dpnet-main")
    assert (measured is not None) == known
    assert expected_seconds(workspace).get("dpnet-main") == measured
    add_run(workspace, str(limit or ""), 7.0)
    add_run(workspace, str(limit or ""), 0.1)  # had nothing left to do
    add_run(workspace, "77", 99.0)  # another size
    assert expected_seconds(workspace)["dpnet-main"] == 7.0


def test_every_stage_of_the_main_job_has_an_expected_time():
    stages = {line.split(",")[2] for line in MEASURED.read_text(encoding="utf-8").splitlines()[1:]}
    scripts = [
        (ROOT / "reproduce" / name).read_text(encoding="utf-8") for name in ("all.sh", "environment.sh")
    ]
    shown = {
        "eight photographs and experiments",
        "experiments",
        "install the pinned packages (about 6 GB)",
        "build the extensions",
    }
    assert shown <= stages
    assert all(any(f'"{name}"' in text for text in scripts) for name in shown)
