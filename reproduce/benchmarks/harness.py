"""The CSV of a benchmark: groups of rows measured in one run, each with where and of which sources it was measured."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
import torch

from opticam.data.files import write_text
from reproduce.workspace.environment import environment
from reproduce.workspace.fingerprint import file_digest
from reproduce.workspace.paths import PUBLISHED, ROOT

COMMITTED = PUBLISHED / "benchmarks"
FINGERPRINT = "sources"
SAME = (FINGERPRINT, "torch", "triton", "device", "threads")
"""What has to be as it was for a row to count as measured."""
OWN = ("reproduce/benchmarks/timing.py",)
"""Sources of every figure."""
SOURCE_SUFFIXES = (".py", ".cpp", ".cu", ".h", ".cuh", ".inl", ".csv")


class Record:
    """The rows of one benchmark on one device, written to `path` group by group.

    A group is all rows with the same `keys`: every side of one piece of work, measured in turns. With
    `changed_only` a group that the file already holds, of the same sources, versions and device, is not measured
    again; where there is no file yet, it begins with such rows of the committed one of that name.

    sources: files, folders and patterns, relative to the repository, whose contents the figures depend on.
    """

    @classmethod
    def of(
        cls, name: str, keys: Sequence[str], sources: Sequence[str], options: argparse.Namespace
    ) -> Record:
        """The record of the benchmark `name` in the folder, on the device and as the options say."""
        path = options.out / f"{name}_{options.device}.csv"
        return cls(path, keys, [*OWN, *sources], options.device, options.changed_only)

    def __init__(
        self, path: Path, keys: Sequence[str], sources: Sequence[str], device: str, changed_only: bool = False
    ) -> None:
        self.path, self.keys, self.changed_only = path, list(keys), changed_only
        path.parent.mkdir(parents=True, exist_ok=True)
        self.facts = environment(device, sources) | {FINGERPRINT: fingerprint(sources)}
        committed = COMMITTED / path.name
        self.rows = pd.read_csv(path).to_dict("records") if path.exists() else []
        if changed_only and not path.exists() and committed.exists():
            self.rows = [row for row in pd.read_csv(committed).to_dict("records") if self._is_current(row)]
            if self.rows:
                self._write()

    def pending(self, group: Mapping[str, object]) -> bool:
        """Whether a group has to be measured."""
        found = [row for row in self.rows if self._belongs(row, group)]
        return not (self.changed_only and found and all(map(self._is_current, found)))

    def add(self, group: Mapping[str, object], rows: Iterable[Mapping[str, object]]) -> None:
        """Write the rows of a group, in place of those that the file holds, once all of them are measured."""
        measured = [{**group, **row, **self.facts} for row in rows]
        self.rows = [row for row in self.rows if not self._belongs(row, group)] + measured
        self._write()
        print(f"{self.path.name}: {', '.join(map(str, group.values()))}", flush=True)

    def _write(self) -> None:
        write_text(self.path, pd.DataFrame(self.rows).to_csv(index=False))

    def _is_current(self, row: Mapping[str, object]) -> bool:
        return all(_text(row.get(name)) == _text(self.facts[name]) for name in SAME)

    def _belongs(self, row: Mapping[str, object], group: Mapping[str, object]) -> bool:
        return all(_text(row.get(key)) == _text(group[key]) for key in self.keys)


def fingerprint(sources: Sequence[str]) -> str:
    """A short hash of the contents of the sources: equal where they are, whatever the commit is called."""
    found = (path for source in sources for path in sorted(ROOT.glob(source)))
    files = (file for path in found for file in (sorted(path.rglob("*")) if path.is_dir() else [path]))
    return file_digest(file for file in files if file.suffix in SOURCE_SUFFIXES)[:12]


def benchmark_parser(description: str, devices: Sequence[str] = ("cpu", "cuda")) -> argparse.ArgumentParser:
    """A parser with the options that every benchmark has: `--out`, `--device` and `--changed-only`."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--out", type=Path, required=True, help="folder for the CSV, its table and its plot")
    parser.add_argument("--device", type=_usable, choices=devices, default="cpu")
    parser.add_argument(
        "--changed-only",
        action="store_true",
        help="only what the CSV, or else the committed one, lacks of these sources, versions and device",
    )
    return parser


def _usable(device: str) -> str:
    if device == "cuda" and not torch.cuda.is_available():
        raise argparse.ArgumentTypeError("no CUDA device is available")
    return device


def _text(value: object) -> str:
    """A CSV's cell and the value it was written from, alike: 1, 1.0 and "1" are one, and so are "" and nothing."""
    if value is None or value != value:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
