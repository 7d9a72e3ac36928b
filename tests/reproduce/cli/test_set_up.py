"""What the scripts do before the work: find a Python, make its environment, build, and how long they may take."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from dpnet.similarity.library import cuda_obstacle

ROOT = Path(__file__).parents[3]
SCRIPTS = ("reproduce", "tests", "docs")
COUNTED = 'build_extensions() { echo "builds"; }\n'


@pytest.fixture
def tree(tmp_path):
    """A checkout that has the scripts alone, and what building is told by."""
    shutil.copytree(ROOT / "reproduce" / "profiles", tmp_path / "reproduce" / "profiles")
    for script in (ROOT / "reproduce").glob("*.sh"):
        shutil.copy(script, tmp_path / "reproduce")
    (tmp_path / "csrc").mkdir()
    for source in ("csrc/kernel.cpp", "setup.py"):
        (tmp_path / source).write_text("")
    return tmp_path


def add_to_environment(tree, text):
    with (tree / "reproduce" / "environment.sh").open("a", encoding="utf-8") as script:
        script.write("\n" + text)


def bash(tree, *words, **variables):
    """What a shell says, both streams in one, until nobody holds them open; its status."""
    told = ("FORCE_CUDA", "TORCH_CUDA_ARCH_LIST", "CXX", "NO_VENV", "PYTHON")
    environment = {name: value for name, value in os.environ.items() if name not in told}
    environment |= {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"} | variables
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    done = subprocess.run(["bash", *words], cwd=tree, env=environment, text=True, **streams)
    return done.stdout, done.returncode


def test_what_was_built_otherwise_is_built_again(tree):
    add_to_environment(tree, COUNTED)

    def builds(**variables):
        script = "source reproduce/environment.sh; prepare"
        said, status = bash(tree, "-c", script, NO_VENV="1", PYTHON=sys.executable, **variables)
        assert status == 0, said
        return "builds" in said

    told = {}
    assert builds()
    for name, value in (("FORCE_CUDA", "1"), ("TORCH_CUDA_ARCH_LIST", "9.0a"), ("CXX", "g++")):
        told[name] = value
        assert builds(**told) and not builds(**told), name
    assert builds() and not builds()
    (tree / "csrc" / "kernel.cpp").write_text("int changed;")
    assert builds()


def test_an_environment_that_was_left_without_pip_is_made_whole(tree):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tree / ".venv"], check=True)
    script = "source reproduce/environment.sh; make_venv .venv && .venv/bin/python -m pip --version"
    said, status = bash(tree, "-c", script, PYTHON=sys.executable)
    assert status == 0 and "make .venv" in said, said
    again, status = bash(tree, "-c", script, PYTHON=sys.executable)
    assert status == 0 and "make .venv" not in again, again


def test_every_environment_is_made_in_one_place():
    scripts = [path for folder in SCRIPTS for path in (ROOT / folder).glob("*.sh")]
    assert [path.name for path in scripts if "-m venv" in path.read_text(encoding="utf-8")] == [
        "environment.sh"
    ]


def test_the_python_that_is_named_is_taken_whatever_its_folder_is_called(tree):
    folder = tree / "a b"
    folder.mkdir()
    (folder / "python").symlink_to(sys.executable)
    said, status = bash(
        tree, "-c", "source reproduce/environment.sh; find_python", PYTHON=str(folder / "python")
    )
    assert (said.strip(), status) == (str(folder / "python"), 0)
    said, status = bash(tree, "-c", "source reproduce/environment.sh; find_python", PYTHON="nowhere/python")
    assert status == 1 and "set PYTHON" in said


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), "eight photographs and experiments"),
        (("--limit", "8"), "eight photographs and experiments"),
        (("--results", "elsewhere"), "experiments"),
        (("--only", "opticam-main"), ""),
        (("--profile", "photographs"), ""),
        (("--limit", "8", "--only=dpnet-main"), ""),
    ],
)
def test_a_time_is_expected_of_the_whole_sample_profile_alone(tree, options, expected):
    add_to_environment(tree, "prepare() { PYTHON=true; }\nprocesses() { echo 1; }\n")
    said, status = bash(tree, "reproduce/all.sh", *options)
    assert status == 0, said
    (line,) = (line for line in said.splitlines() if "experiments: done" in line)
    assert line.startswith(f"== {expected}: done" if expected else "== experiments: done")
    assert ("expected" in line) == bool(expected)


@pytest.mark.skipif(not cuda_obstacle(), reason="the library's CUDA operations run here")
def test_gpu_sh_measures_nothing_where_the_library_has_no_cuda_and_ends_at_once(tree):
    add_to_environment(tree, f"prepare() {{ PYTHON='{sys.executable}'; }}\n")
    begin = time.monotonic()
    said, status = bash(tree, "reproduce/gpu.sh", "out")
    assert status == 1 and cuda_obstacle() in said.splitlines()
    assert "GPU tests" not in said
    assert time.monotonic() - begin < 18  # a sleep of 20 seconds keeps no stream open


def test_gpu_sh_gives_its_set_up_no_more_than_all_the_time(tree):
    script = tree / "reproduce" / "gpu.sh"
    script.write_text(script.read_text().replace("deadline=350", "deadline=10"))
    add_to_environment(tree, "prepare() { sleep 60; }\n")
    begin = time.monotonic()
    said, status = bash(tree, "reproduce/gpu.sh", "out")
    assert status == 1 and "set-up: exit status 124" in said
    assert time.monotonic() - begin < 40


def fake_program(tree, name, body=""):
    """A program that notes its arguments in `calls`, then does as the body says."""
    program = tree / "bin" / name
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/usr/bin/env bash\necho {name} $* >>"{tree}/calls"\n{body}\n')
    program.chmod(0o755)
    return program


def test_gpu_sh_checks_before_it_measures_and_repeats_only_what_did_not_pass(tree):
    """With a Python, a sanitizer and a profiler that note what they are asked for; `broken` names what fails."""
    (tree / "tests").mkdir()
    for test in ("test_a_gpu.py", "test_b.py"):
        (tree / "tests" / test).write_text("")
    broken = tree / "broken"
    broken.write_text("similarity.sanitize")
    python = fake_program(
        tree,
        "python",
        f"if [ $1 = -c ]; then echo facts $(cat '{tree}/setup.py'); exit; fi\n"
        f"case $* in *$(cat '{broken}')*) exit 1; esac",
    )
    fake_program(tree, "compute-sanitizer", 'while [ "$1" != -m ]; do shift; done\npython "$@"')
    fake_program(tree, "ncu")
    add_to_environment(tree, f"prepare() {{ PYTHON='{python}'; }}\n")

    def run():
        """What it says, its status, and which checks run, all of them before the first benchmark."""
        (tree / "calls").unlink(missing_ok=True)
        said, status = bash(tree, "reproduce/gpu.sh", "out", PATH=f"{tree / 'bin'}:{os.environ['PATH']}")
        calls = (tree / "calls").read_text().splitlines()
        kinds = ["-m pytest" in call or "sanitize" in call for call in calls if "-c import" not in call]
        assert sorted(kinds, reverse=True) == kinds, calls
        checks = [call for call in calls if "-m pytest" in call or call.startswith("compute-sanitizer")]
        return said, status, [check.split("benchmarks.")[-1] for check in checks]

    said, status, checks = run()
    assert status == 1 and "similarity under memcheck: exit status 1" in said
    assert checks[0].endswith(" tests/test_a_gpu.py") and "test_b" not in checks[0]
    assert checks[1:] == ["masking.sanitize", "similarity.sanitize"] * 2
    broken.write_text("nothing")
    assert run()[1:] == (0, ["similarity.sanitize"] * 2)
    said, status, checks = run()
    assert (status, checks) == (0, []) and "== GPU tests: passed before" in said.splitlines()
    (tree / "setup.py").write_text("changed")
    assert len(run()[2]) == 5
