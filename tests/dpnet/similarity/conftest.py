"""The CUDA kernels, compiled for the CPU by the emulation of a block of threads."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "emulation"


@pytest.fixture(scope="session")
def kernels(tmp_path_factory):
    library = tmp_path_factory.mktemp("emulation") / "kernels.so"
    flags = ["-O1", "-std=c++17", "-fPIC", "-shared", "-fno-strict-aliasing", "-w"]
    subprocess.run(["g++", *flags, str(HERE / "kernels.cpp"), "-o", str(library)], check=True)
    return ctypes.CDLL(str(library))
