"""Compile the CUDA sources of part similarity with no GPU: registers, spills, shared memory and SASS of every kernel.

python -m reproduce.benchmarks.similarity.compile
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sysconfig
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pandas as pd
from torch.utils.cpp_extension import include_paths

from reproduce.benchmarks.sass import Instructions, read_sass

SOURCES = Path(__file__).resolve().parents[3] / "csrc" / "dpnet" / "cuda"
ARCHITECTURES = ("80", "90a", "100")
ONLY = {"hopper.cu": ("90a",)}
"""Sources that are for some architectures alone."""
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
    """One row per kernel, variant and architecture: registers a thread, spilled and shared bytes, and what SASS holds.

    products: instructions of the tensor cores. tiles: copies of whole tiles (UTMALDG). loads, stores: bits a thread of
    accesses to global memory, narrowest and widest. Compiles all sources at once, each for all architectures, host
    code included; raises RuntimeError with the compiler's message where one does not compile, FileNotFoundError where
    there is no compiler.
    """
    nvcc = find_nvcc()
    if nvcc is None:
        raise FileNotFoundError("no CUDA compiler: set CUDA_HOME or install nvidia-cuda-nvcc")
    sources = sorted(SOURCES.glob("*.cu"))
    with ThreadPoolExecutor(len(sources)) as pool:
        found = pool.map(partial(_compile, nvcc, architectures), sources)
        return [row for rows in found for row in rows]


def _compile(nvcc: Path, architectures: tuple[str, ...], source: Path) -> list[dict[str, object]]:
    own = [sm for sm in architectures if sm in ONLY.get(source.name, architectures)]
    if not own:
        return []
    targets = [f"-gencode=arch=compute_{sm},code=sm_{sm}" for sm in own]
    includes = [f"-isystem={folder}" for folder in include_paths()]
    # No -O3: it is for the host code, which is only checked here; device code is optimised without it.
    definitions = ["-DUSE_CUDA", "-DDPNET_WITH_CUDA", "-DDPNET_WITH_HOPPER"]
    flags = ["-std=c++17", *definitions, "-Xcompiler=-fPIC", "-Xptxas=-v"]
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "object.o"
        command: list[str | Path] = [
            nvcc,
            *flags,
            "--threads=2",
            *targets,
            *includes,
            "-c",
            source,
            "-o",
            made,
        ]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode:
            raise RuntimeError(f"{source.name} does not compile:\n{result.stdout}{result.stderr}")
        sass = {sm: read_sass(made, int(sm.rstrip("a"))) for sm in own}
    return list(_parse(result.stdout + result.stderr, sass))


def _parse(log: str, sass: Mapping[str, Mapping[str, Instructions]]) -> Iterator[dict[str, object]]:
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
            "shared": _dynamic_bytes(kernel, variant) or (int(static[1]) if static else 0),
            **_instructions(sass[name[2]][name[1]]),
        }


def _instructions(found: Instructions) -> dict[str, object]:
    loads, stores = (
        "-".join(dict.fromkeys(map(str, (min(w), max(w))))) if w else "" for w in (found.loads, found.stores)
    )
    return {"products": found.tensor_core, "tiles": found.count("UTMALDG"), "loads": loads, "stores": stores}


def _describe(symbol: str) -> tuple[str, str]:
    """The kernel's name and its template arguments in words, from the mangled symbol."""
    named = re.search(r"\d+([a-z_]+_kernel)", symbol)
    kernel = named[1] if named else symbol
    if tiles := re.search(r"MathE(\d)E(?:Li(\d+)E)?Lb(\d)", symbol):
        columns = f", {tiles[2]} columns" if tiles[2] else ""
        return kernel, MATH[int(tiles[1])] + columns + (", entropy" if tiles[3] == "1" else "")
    element = re.search(r"_kernelI(f|d|13__nv_bfloat16|6__half)(?:Lb(\d)E)?E", symbol)
    if not element:
        return kernel, ""
    return kernel, ELEMENTS[element[1]] + (", entropy" if element[2] == "1" else "")


def _dynamic_bytes(kernel: str, variant: str) -> int:
    """Dynamic shared memory of the tile kernels: the ring of stages, from the constants of their layouts."""
    text = "".join((SOURCES / name).read_text() for name in ("tile_layout.h", "hopper_kernel.cuh"))
    layout = {name: int(value) for name, value in re.findall(r"constexpr int (\w+) = (\d+);", text)}
    parts = layout["WARPS"] * layout["PARTS_PER_WARP"]
    if kernel == "forward_kernel":
        columns = 64 if variant.startswith("tf32x3") else 128
        return layout["STAGES"] * layout["STAGE_BYTES"] * (parts + columns)
    if kernel == "hopper_kernel":
        columns, stages = int(variant.split()[1]), layout["HOPPER_STAGES"]
        ring = (stages + 2 * variant.startswith("tf32x3")) * layout["STAGE_BYTES"] * (parts + columns)
        softmax = layout["HOPPER_WARPS"] * columns * 12 if "entropy" in variant else 0
        return layout["HOPPER_ALIGNMENT"] + ring + softmax + 2 * stages * 8
    return 0


if __name__ == "__main__":
    print(pd.DataFrame(compile_report()).to_string(index=False))
