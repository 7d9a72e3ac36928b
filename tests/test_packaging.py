"""The source distribution holds what building needs, and installs without a compiler on eager implementations.

Continuous integration calls scripts that exist.
"""

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml
from PIL import Image

ROOT = Path(__file__).parents[1]
FILES = ("setup.py", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE")
FOLDERS = ("opticam", "dpnet", "csrc", "reproduce")


def run(*command: str | Path, cwd: Path, **environment: str) -> str:
    """What a command printed; the test fails with it where the command fails."""
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | environment
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=variables, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


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
def built(archive, tmp_path_factory) -> tuple[Path, str]:
    """The wheel that pip makes of it on a machine without a C++ compiler that works, and what building it said."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--no-deps", "--no-build-isolation", "--no-index", "--no-cache-dir", "--verbose")
    said = run(sys.executable, "-m", "pip", "wheel", *options, archive, cwd=folder, CXX="/bin/false")
    (wheel,) = folder.glob("*.whl")
    return wheel, said


@pytest.fixture(scope="module")
def commands(built, tmp_path_factory) -> Path:
    """The commands of a fresh environment that has the wheel, and sees the packages that are installed here."""
    folder = tmp_path_factory.mktemp("environment")
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder)
    (packages,) = folder.glob("lib/python*/site-packages")
    seen = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (packages / "seen.pth").write_text("\n".join(seen))
    options = ("--no-deps", "--no-index", "--quiet", "--ignore-installed")
    run(folder / "bin" / "python", "-m", "pip", "install", *options, built[0], cwd=folder)
    return folder / "bin"


def test_the_source_distribution_holds_every_source_and_header(archive):
    with tarfile.open(archive) as content:
        inside = {name.partition("/")[2] for name in content.getnames()}
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "csrc").rglob("*.*")}
    assert sources <= inside and any(name.endswith(".cuh") for name in sources)
    assert {"opticam/py.typed", "dpnet/py.typed"} <= inside


def test_the_wheel_holds_the_two_packages_and_nothing_else(built):
    with zipfile.ZipFile(built[0]) as content:
        inside = {Path(name) for name in content.namelist()}
        (scripts,) = (content.read(str(name)).decode() for name in inside if name.name == "entry_points.txt")
    assert {path.parts[0] for path in inside if ".dist-info" not in path.parts[0]} == {"opticam", "dpnet"}
    assert Path("opticam/sample/weights/pictures.json") in inside
    assert set(re.findall(r"^(\w+) = ", scripts, re.M)) == {"opticam", "dpnet"}


def test_without_a_compiler_the_eager_implementations_serve_and_say_so(built, commands, tmp_path):
    assert "No C++ compiler found" in built[1]
    assert "saliency_mask on cpu: eager (" in run(commands / "opticam", "info", cwd=tmp_path)
    assert "part_similarity, cpp: no (" in run(commands / "dpnet", "info", cwd=tmp_path)


def test_the_installed_command_explains_a_photograph_offline_from_anywhere(commands, tmp_path):
    words = ["sample:chelsea", "--network", "efficientnet_lite0", "--iterations", "2", "-o", "explained.png"]
    no_network = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    said = run(commands / "opticam", "explain", *words, cwd=tmp_path, **no_network)
    assert "tiger cat" in said
    assert Image.open(tmp_path / "explained.png").size[0] > 224


def test_scripts_that_continuous_integration_names_exist():
    workflow = (ROOT / ".github" / "workflows" / "tests.yml").read_text(encoding="utf-8")
    jobs = yaml.safe_load(workflow)["jobs"]
    steps = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    named = {
        name
        for text in (*steps, (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
        for name in re.findall(r"\bbash ([\w./-]+)", text)
    }
    assert {"tests/all.sh", "docs/build.sh", "reproduce/all.sh"} <= named
    assert [name for name in named if not (ROOT / name).is_file()] == []
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    stated = re.findall(r"Programming Language :: Python :: (3\.\d+)", project)
    assert jobs["tests"]["strategy"]["matrix"]["python"] == stated
