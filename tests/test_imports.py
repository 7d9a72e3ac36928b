"""What loads quickly stays so: slow libraries are loaded where they are needed, and not before."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SLOW = {
    "torchvision",
    "scipy",
    "matplotlib",
    "pandas",
    "skimage",
    "timm",
    "triton",
    "captum",
    "torch._dynamo",
}
PROGRAM = """
import sys, torch
known = set(sys.modules)
import importlib
for name in {modules!r}:
    importlib.import_module(name)
print(*(set(sys.modules) - known))
"""


def loaded_after_torch(*modules):
    command = [sys.executable, "-c", PROGRAM.format(modules=modules)]
    return set(subprocess.check_output(command, cwd=ROOT, text=True).split())


@pytest.mark.parametrize(
    "modules",
    [("opticam", "opticam.__main__"), ("dpnet", "dpnet.__main__"), ("reproduce.__main__",)],
    ids=lambda modules: modules[0],
)
def test_a_package_and_its_command_line_load_no_slow_library(modules):
    loaded = loaded_after_torch(*modules)
    assert set(modules) <= loaded
    assert not loaded & SLOW


def test_the_list_of_slow_libraries_is_told_apart():
    assert {"pandas", "matplotlib"} <= loaded_after_torch("reproduce.cli.commands")
