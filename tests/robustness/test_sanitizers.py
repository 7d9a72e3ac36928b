"""The C++ extensions under AddressSanitizer and UBSan; the build takes minutes, so only with --long."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from robustness.running import ROOT


def test_no_sanitizer_complains(request, fault):
    if not request.config.getoption("--long"):
        pytest.skip("compiling everything anew takes minutes: bash tests/sanitize.sh")
    if shutil.which("g++") is None:
        pytest.skip("no g++ here, whose sanitizers are used")
    words = ["bash", "tests/sanitize.sh"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=3600)
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-4000:]
    passed = sum(map(int, re.findall(r"(\d+) passed", done.stdout)))
    assert passed > 300
    fault(
        "memory", "the operators' tests and 2,000 fuzzed calls under ASan and UBSan", passed, "no complaint"
    )
