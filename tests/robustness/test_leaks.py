"""Resident memory stays flat while pictures pass and parts are trained."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from robustness.running import ROOT

PROGRAM = Path(__file__).parent / "programs" / "leaks.py"
PICTURE = 3 * 32 * 32 * 4
"""Bytes of one picture: the least that a leak of what belongs to a picture would show."""


@pytest.mark.skipif(sys.platform != "linux", reason="resident memory is read from /proc, which Linux has")
def test_memory_is_flat(python, often, fault):
    pictures = often(160, 2000)
    here = Path(__file__).parent
    done = python(PROGRAM, pictures, env={"PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}:{here}"}, timeout=3000)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) >= 10 and found[-1]["name"] == "part training"
    for row in found:
        what = "steps" if row["name"] == "part training" else "pictures"
        times = pictures // 4 if what == "steps" else pictures
        text = f"{row['slope']:.0f} [{row['low']:.0f}, {row['high']:.0f}] bytes per {what[:-1]}"
        fault("leaks", f"{row['name']}: {what} one after the other", times, text)
        assert row["low"] < PICTURE / 2, row  # of growth by a picture each, the interval would lie above
