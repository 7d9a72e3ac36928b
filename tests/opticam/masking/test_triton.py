"""The Triton kernels without a GPU: in the interpreter, and compiled ahead of time."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy
import pytest

triton = pytest.importorskip("triton", reason="Triton is not installed on this platform")


def version(module) -> tuple[int, ...]:
    return tuple(int(part) for part in module.__version__.split(".")[:2])


@pytest.mark.skipif(
    version(triton) < (3, 7) and version(numpy) >= (2, 4),
    reason="the interpreter of Triton before 3.7 cannot read loop bounds with NumPy 2.4",
)
def test_kernels_in_the_interpreter():
    """In a process of its own: Triton decides at import whether to interpret."""
    environment = dict(os.environ, TRITON_INTERPRET="1", OMP_NUM_THREADS="1")
    cases = Path(__file__).with_name("interpreted_triton.py")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(cases)]
    result = subprocess.run(command, env=environment, cwd=cases.parents[3], capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    assert " passed" in result.stdout or "100%" in result.stdout


@pytest.mark.parametrize("sm", [80, 90, 100])
def test_kernels_compile_ahead_of_time(sm):
    from reproduce.benchmarks.masking.compile import compile_report

    rows = compile_report(architectures=(sm,), dtypes=("bf16",), shapes=("odd",))
    assert {row["kernel"] for row in rows} == {
        "combine_kernel",
        "mask_kernel",
        "channel_kernel",
        "step_kernel",
        "row_kernel",
        "cell_kernel",
        "project_kernel",
    }
    assert all(row["spilled"] == 0 for row in rows)
    assert all(0 < row["registers"] <= 255 and row["shared"] <= 48 * 1024 for row in rows)


def test_the_report_compiles_as_the_launcher_does():
    """Addresses are multiples of 16 bytes, so images of a whole number of 16 bytes a row are moved 16 at a time."""
    from reproduce.benchmarks.masking.compile import compile_report

    for dtype in ("fp32", "bf16"):
        rows = compile_report(architectures=(90,), dtypes=(dtype,), shapes=("resnet50",))
        found = {row["kernel"]: row for row in rows if not row["variant"]}
        assert re.fullmatch(r"128: \d+", found["mask_kernel"]["stores"])
        assert re.fullmatch(r"128: \d+", found["row_kernel"]["loads"])
