"""Operations, metrics and the picture reader on whatever arguments there are, each in a process of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "programs"
TESTS = PROGRAMS.parents[1]
# Listed here, so that collecting the tests loads nothing; `test_all_cases_are_listed` compares.
CASES = (
    "saliency_mask",
    "channel_masks",
    "step_masks",
    "part_similarity",
    "AD, AG, AI",
    "ranks of pixels",
    "insertion, deletion",
    "boxes of maps",
    "energy pointing game",
    "pictures of every mode",
    "files of damaged bytes",
)


def paths() -> dict[str, str]:
    return {"PYTHONPATH": f"{TESTS.parent}:{TESTS}:{PROGRAMS}"}


def test_all_cases_are_listed(python):
    done = python("-c", "from fuzz_cases import CASES; print(*CASES, sep='|')", env=paths())
    assert tuple(done.stdout.strip().split("|")) == CASES


@pytest.mark.parametrize("case", CASES)
def test_every_call_is_right_or_refused(python, often, fault, case):
    examples = often(200, 2000)
    done = python(PROGRAMS / "fuzz.py", case, examples, env=paths())
    assert done.returncode == 0, done.stdout + done.stderr
    fault("fuzzing", case, examples, done.stdout.strip())
