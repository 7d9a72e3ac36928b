"""kill -9 at random moments of a run and of a training; then the same command, and the results stay what they were."""

from __future__ import annotations

import random
import signal
import subprocess
import time

import pytest
from robustness.running import command, finished, outcome, start


@pytest.mark.parametrize("kind", ["reproduce run", "dpnet train"])
def test_a_killed_run_ends_as_if_nothing_had_happened(tmp_path, python, often, fault, kind):
    begin = time.monotonic()
    assert python("-m", *command(kind, tmp_path / "whole")).returncode == 0
    whole = time.monotonic() - begin
    expected = outcome(kind, tmp_path / "whole")
    assert expected
    moments, killed, wanted = random.Random(0), 0, often(1, 20)
    for attempt in range(3 * wanted):
        folder = tmp_path / str(attempt)
        process = start(kind, folder)
        try:
            process.communicate(timeout=moments.uniform(0.3, 1.0) * whole)
        except subprocess.TimeoutExpired:
            process.kill()
        if finished(process).returncode == -signal.SIGKILL:
            killed += 1
        else:
            whole *= 0.7  # the machine was slower when the whole run was timed
        done = python("-m", *command(kind, folder))
        assert done.returncode == 0, done.stderr
        assert outcome(kind, folder) == expected
        if killed == wanted:
            break
    fault(
        "kill -9",
        f"`{kind}` at random moments, then again",
        killed,
        "every cell and every model the same to the byte",
    )
    assert killed == wanted
