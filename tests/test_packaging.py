"""The source distribution holds what building needs, and installs without a compiler on eager implementations."""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from PIL import Image

ROOT = Path(__file__).parents[1]
FILES = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
FOLDERS = ("opticam", "dpnet", "csrc", "reproduce")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """The output of a command; the test fails with all that it printed where it fails."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    """The source distribution, made in a copy so that the checkout stays as it is."""
    copy = tmp_path_factory.mktemp("checkout")
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    for name in FOLDERS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    code = "import setuptools.build_meta as backend; backend.build_sdist('dist')"
    run(sys.executable, "-c", code, cwd=copy, CXX="/nowhere/c++")
    (made,) = (copy / "dist").glob("*.tar.gz")
    return made


@pytest.fixture(scope="module")
def site(archive, tmp_path_factory) -> Path:
    """A folder that the distribution is installed into, on a machine without a C++ compiler."""
    folder = tmp_path_factory.mktemp("site")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", folder)
    run(sys.executable, "-m", "pip", "install", *options, archive, cwd=folder, CXX="/nowhere/c++")
    return folder


def test_the_source_distribution_holds_every_source_and_header(archive):
    with tarfile.open(archive) as content:
        inside = {name.partition("/")[2] for name in content.getnames()}
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "csrc").rglob("*.*")}
    assert sources <= inside and any(name.endswith(".cuh") for name in sources)
    assert {"opticam/py.typed", "dpnet/py.typed"} <= inside


def test_the_two_packages_are_installed_and_nothing_else(site):
    installed = {path.name for path in site.iterdir() if (path / "__init__.py").is_file()}
    assert installed == {"opticam", "dpnet"}
    assert {path.name for path in (site / "bin").iterdir()} == {"opticam", "dpnet"}
    assert (site / "opticam/sample/weights/pictures.json").is_file()


def test_without_a_compiler_the_eager_implementations_serve_and_say_so(site, tmp_path):
    torch.manual_seed(0)
    torch.save(torchvision.models.squeezenet1_1(num_classes=7).state_dict(), tmp_path / "weights.pth")
    pixels = np.random.default_rng(0).integers(0, 255, (70, 90, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    python = {"PYTHONPATH": str(site)}
    info = run(sys.executable, "-m", "opticam", "info", cwd=tmp_path, **python)
    assert "saliency_mask on cpu: eager (" in info
    words = ["photo.png", "--network", "squeezenet1_1", "--weights", "weights.pth", "--num-classes", "7"]
    words += ["--size", "64", "--iterations", "2", "-o", "explained.png"]
    run(sys.executable, "-m", "opticam", "explain", *words, cwd=tmp_path, **python)
    assert Image.open(tmp_path / "explained.png").size[0] > 64
    assert "part_similarity, cpp: no (" in run(sys.executable, "-m", "dpnet", "info", cwd=tmp_path, **python)
