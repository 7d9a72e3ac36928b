"""Where a figure was measured, as its row tells."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
import torch

from reproduce.workspace.environment import device_name


@pytest.mark.skipif(
    shutil.which("lscpu") is None, reason="lscpu, which is compared with, is not on this machine"
)
def test_a_processor_is_named_so_that_no_other_kind_has_the_same_name():
    listing = subprocess.run(
        ["lscpu"], env={"LC_ALL": "C"}, capture_output=True, text=True, check=True
    ).stdout
    facts = dict(re.split(r":\s+", line, maxsplit=1) for line in listing.splitlines() if ":  " in line)
    named = device_name(torch.device("cpu"))
    for key, word in (("CPU family", "family"), ("Model", "model")):
        if key in facts:
            assert f"{word} {facts[key]}" in named
    assert facts["Model name"] in named and torch.backends.cpu.get_cpu_capability() in named
