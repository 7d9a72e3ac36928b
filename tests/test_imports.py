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
HELP = [
    ("opticam", "--help"),
    ("opticam", "explain", "--help"),
    ("dpnet", "--help"),
    ("dpnet", "train", "--help"),
    ("dpnet", "explain", "--help"),
    ("reproduce", "--help"),
    ("reproduce", "run", "--help"),
    ("reproduce", "compare", "--help"),
]
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


@pytest.mark.parametrize("words", HELP, ids=" ".join)
def test_help_loads_not_even_pytorch(words):
    """PyTorch alone takes longer to load than anybody waits for --help."""
    program = (
        "import runpy, sys\n"
        f"sys.argv = {[words[0], *words[1:]]!r}\n"
        "try:\n"
        f"    runpy.run_module({words[0]!r}, run_name='__main__', alter_sys=True)\n"
        "finally:\n"
        "    print(*sys.modules)\n"
    )
    printed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, text=True, capture_output=True)
    assert printed.stdout.startswith("usage:"), printed.stderr
    assert not set(printed.stdout.splitlines()[-1].split()) & (SLOW | {"torch"})


@pytest.mark.parametrize(("package", "name"), [("opticam", "METHODS"), ("dpnet", "PartClassifier")])
def test_a_package_gives_its_names_when_they_are_asked_for(package, name):
    program = (
        f"import {package}, sys; print('torch' in sys.modules); {package}.{name}; print(*{package}.__all__)"
    )
    first, names = subprocess.check_output([sys.executable, "-c", program], cwd=ROOT, text=True).splitlines()
    assert first == "False" and name in names.split()


def test_the_list_of_slow_libraries_is_told_apart():
    assert {"pandas", "matplotlib"} <= loaded_after_torch("reproduce.cli.running")
