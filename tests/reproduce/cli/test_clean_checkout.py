"""A run in a fresh clone, and everything that reads it, leaves `git status` clean."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SMALL = ["--limit", "1", "--only", "opticam-classes", "--quiet"]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="this is no git checkout")
def test_a_run_never_dirties_the_checkout(tmp_path):
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", "--local", str(ROOT), str(clone)], check=True)
    for built in ROOT.glob("*/_C*"):  # compiled libraries, which git ignores
        shutil.copy(built, clone / built.parent.name)
    environment = os.environ | {"PYTHONPATH": str(clone), "OMP_NUM_THREADS": "1"}

    def reproduce(*words):
        command = [sys.executable, "-m", "reproduce", *words]
        return subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True)

    ran = reproduce("run", *SMALL)
    assert ran.returncode == 0, ran.stderr
    assert (clone / "results" / "sample" / "limit-1" / "tables" / "opticam_tableA9.csv").is_file()
    for words in (
        ["tables", *SMALL],
        ["claims", "--limit", "1"],
        ["compare", "--limit", "1"],
        ["check", "--limit", "1"],
    ):
        assert reproduce(*words).returncode in (0, 1, 3), words
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True
    )
    assert status.stdout == ""
