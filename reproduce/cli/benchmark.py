"""One entry to the benchmarks: each runs as its own module in its own process, with the options it is given."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from reproduce.workspace.paths import RESULTS

FOLDER = RESULTS / "benchmarks"
MODULES = {
    "masking": "masking",
    "similarity": "similarity",
    "opticam-loop": "loop",
    "causal": "causal",
    "localization": "localization",
    "part-training": "part_training",
}
COMPILE_REPORTS = ("masking.compile", "similarity.compile")


def run_benchmark(name: str, options: Sequence[str]) -> int:
    """Run a benchmark; its results go to results/benchmarks unless the options name another place.

    `--out figures/benchmarks` (of causal and localization `--output`, a file) replaces the committed ones. Returns
    the exit status of its process.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    return _run(MODULES[name], [*_place(name, options), *options])


def compile_reports() -> int:
    """Compile the GPU kernels without a GPU and print what they need; the first exit status that is not 0."""
    return max((_run(module, []) for module in COMPILE_REPORTS), key=bool)


def _place(name: str, options: Sequence[str]) -> list[str]:
    """Where results go by default, in the benchmark's own words."""
    if any(option.split("=")[0] in ("--out", "--output") for option in options):
        return []
    if name not in ("causal", "localization"):
        return ["--out", str(FOLDER)]
    device = "cuda" if "cuda" in options else "cpu"
    return ["--output", str(FOLDER / f"{name}_{device}.csv")]


def _run(module: str, options: Sequence[str]) -> int:
    command = [sys.executable, "-m", f"reproduce.benchmarks.{module}", *options]
    print(f"== {' '.join(['python', *command[1:]])}", flush=True)
    return subprocess.run(command, cwd=Path.cwd()).returncode
