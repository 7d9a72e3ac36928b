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
    "host-overhead": "overhead",
    "similarity": "similarity",
    "opticam-loop": "loop",
    "causal": "causal",
    "localization": "localization",
    "part-training": "part_training",
}
COMPILE_REPORTS = ("masking.compile", "similarity.compile")


def run_benchmark(name: str, options: Sequence[str]) -> int:
    """Run a benchmark; its results go to results/benchmarks unless the options name another place.

    `--out figures/benchmarks` replaces the committed ones. Returns the exit status of its process.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    given = any(option.split("=")[0] == "--out" for option in options)
    return _run(MODULES[name], [*(() if given else ("--out", str(FOLDER))), *options])


def compile_reports() -> int:
    """Compile the GPU kernels without a GPU and print what they need; the first exit status that is not 0."""
    return max((_run(module, []) for module in COMPILE_REPORTS), key=bool)


def _run(module: str, options: Sequence[str]) -> int:
    command = [sys.executable, "-m", f"reproduce.benchmarks.{module}", *options]
    print(f"== {' '.join(['python', *command[1:]])}", flush=True)
    return subprocess.run(command, cwd=Path.cwd()).returncode
