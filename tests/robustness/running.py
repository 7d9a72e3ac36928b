"""The two long commands that faults are tried on: how they are started, and what they are for."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).parents[2]
RUN = ("reproduce", "run", "--profile", "sample", "--limit", "1", "--only", "opticam-raw-pixels", "--quiet")
TRAIN = ("dpnet", "train", "--data", "sample:fine", "--backbone", "sample_vgg", "--parts-per-class", "2")
TRAIN += ("--epochs", "3", "--seeds", "0,1")


def command(kind: str, folder: Path) -> list[str]:
    if kind == "reproduce run":
        return [*RUN, "--results", str(folder), "--output", str(folder / "out")]
    return [*TRAIN, "--output", str(folder), "--cache", str(folder / "cache")]


def outcome(kind: str, folder: Path) -> dict[str, str]:
    """What a run is for, without the seconds it took: its tables' cells, or digests of its models and their table."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.name == "model.safetensors":
            found[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif path.match("out/tables/*.csv"):
            table = pd.read_csv(path, dtype=str)
            found[path.name] = table[~table["metric"].str.startswith("seconds")].to_csv()
    if kind == "dpnet train":
        found["results.csv"] = pd.read_csv(folder / "results.csv", dtype=str).drop(columns="seconds").to_csv()
    return found


def start(kind: str, folder: Path) -> subprocess.Popen[str]:
    """The command in the background, its words kept."""
    return subprocess.Popen(
        [sys.executable, "-m", *command(kind, folder)],
        cwd=ROOT,
        env=child_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Where the tests run in the background of a shell, SIGINT is ignored, and so it would be by what they start.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def finished(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    """What a command in the background came to."""
    out, err = process.communicate(timeout=600)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def child_environment() -> dict[str, str]:
    """Of programs: this checkout's packages, one thread, no window onto another run's launcher."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("RANK", "WORLD_SIZE"))}
    return {**kept, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
