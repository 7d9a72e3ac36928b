"""Compile the CUDA sources of part similarity with no GPU: registers, spills and shared memory of every kernel.

python -m reproduce.benchmarks.similarity.compile
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pandas as pd
from torch.utils.cpp_extension import include_paths

SOURCES = Path(__file__).resolve().parents[3] / "csrc" / "dpnet" / "cuda"
ARCHITECTURES = ("80", "90a", "100")
MATH = ("bf16", "f16", "tf32", "tf32x3")  # in the order of the enumeration in device.cuh
ELEMENTS = {"f": "float32", "13__nv_bfloat16": "bfloat16", "6__half": "float16", "d": "float64"}
ENTRY = re.compile(r"Compiling entry function '(\w+)' for 'sm_(\w+)'")
SPILLS = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")
SHARED = re.compile(r"(\d+) bytes smem")


def find_nvcc() -> Path | None:
    """The CUDA compiler of CUDA_HOME, of the path, or the one that pip installs; None where there is none."""
    packages = Path(sysconfig.get_paths()["purelib"]) / "nvidia" / "cu13" / "bin" / "nvcc"
    home, on_path = os.environ.get("CUDA_HOME"), shutil.which("nvcc")
    candidates = [home and Path(home) / "bin" / "nvcc", on_path and Path(on_path), packages]
    return next((path for path in candidates if path and path.exists()), None)


def compile_report(architectures: tuple[str, ...] = ARCHITECTURES) -> list[dict[str, object]]:
    """One row per kernel, variant and architecture: registers per thread, spilled and shared bytes.

    Compiles all sources at once, each for all architectures, host code included; raises RuntimeError with the
    compiler's message where one does not compile, FileNotFoundError where there is no compiler.
    """
    nvcc = find_nvcc()
    if nvcc is None:
        raise FileNotFoundError("no CUDA compiler: set CUDA_HOME or install nvidia-cuda-nvcc")
    sources = sorted(SOURCES.glob("*.cu"))
    with ThreadPoolExecutor(len(sources)) as pool:
        logs = pool.map(partial(_compile, nvcc, architectures), sources)
        return [row for log in logs for row in _parse(log)]


def _compile(nvcc: Path, architectures: tuple[str, ...], source: Path) -> str:
    targets = [f"-gencode=arch=compute_{sm},code=sm_{sm}" for sm in architectures]
    includes = [f"-isystem={folder}" for folder in include_paths()]
    # No -O3: it is for the host code, which is only checked here; device code is optimised without it.
    flags = ["-std=c++17", "-DUSE_CUDA", "-DDPNET_WITH_CUDA", "-Xcompiler=-fPIC", "-Xptxas=-v"]
    with tempfile.TemporaryDirectory() as folder:
        command: list[str | Path] = [nvcc, *flags, "--threads=2", *targets, *includes, "-c", source]
        command += ["-o", f"{folder}/object.o"]
        result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{source.name} does not compile:\n{result.stdout}{result.stderr}")
    return result.stdout + result.stderr


def _parse(log: str) -> Iterator[dict[str, object]]:
    for entry in re.split(r"(?=ptxas info    : Compiling entry)", log):
        if not (name := ENTRY.search(entry)):
            continue
        spills, used = SPILLS.search(entry), USED.search(entry)
        if not (spills and used):
            raise ValueError(f"nvcc tells no registers of {name[1]}")
        stores, loads = map(int, spills.groups())
        static = SHARED.search(entry)
        kernel, variant = _describe(name[1])
        yield {
            "kernel": kernel,
            "variant": variant,
            "sm": name[2],
            "registers": int(used[1]),
            "spilled": stores + loads,
            "shared": int(static[1]) if static else _ring_bytes(variant) if kernel == "forward_kernel" else 0,
        }


def _describe(symbol: str) -> tuple[str, str]:
    """The kernel's name and its template arguments in words, from the mangled symbol."""
    named = re.search(r"\d+([a-z_]+_kernel)", symbol)
    kernel = named[1] if named else symbol
    if forward := re.search(r"MathE(\d)ELb(\d)", symbol):
        return kernel, MATH[int(forward[1])] + (", entropy" if forward[2] == "1" else "")
    element = re.search(r"_kernelI(f|d|13__nv_bfloat16|6__half)(?:Lb(\d)E)?E", symbol)
    if not element:
        return kernel, ""
    return kernel, ELEMENTS[element[1]] + (", entropy" if element[2] == "1" else "")


def _ring_bytes(variant: str) -> int:
    """Dynamic shared memory of the tile kernel: the ring of stages, from the constants of its layout."""
    layout = dict(re.findall(r"constexpr int (\w+) = (\d+);", (SOURCES / "tile_layout.h").read_text()))
    warps, per_warp, stage, stages = (
        int(layout[n]) for n in ("WARPS", "PARTS_PER_WARP", "STAGE_BYTES", "STAGES")
    )
    return stages * stage * (warps * per_warp + (64 if variant.startswith("tf32x3") else 128))


if __name__ == "__main__":
    print(pd.DataFrame(compile_report()).to_string(index=False))
