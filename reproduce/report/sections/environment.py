"""The section on where the numbers were measured: commit, versions, device, seeds and run times."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from reproduce.report.content import Given
from reproduce.report.document import Block, Cell, Grid, Heading, Paragraph
from reproduce.report.sections.making import SEEDS, seeds
from reproduce.workspace.environment import environment

PACKAGES = (
    "torch",
    "torchvision",
    "numpy",
    "scipy",
    "pandas",
    "matplotlib",
    "scikit-image",
    "timm",
    "captum",
)


def environment_section(given: Given) -> Iterator[Block]:
    """Facts of this report and of the runs in the store, and how long each stage took."""
    yield Heading(2, "Environment", "environment")
    yield Grid([[("fact", 1), ("value", 1)]], [[Cell(n), Cell(v)] for n, v in _facts(given)], "words")
    runs, stages = given.workspace.store.runs(), given.stages
    yield Heading(3, "Runs in the store")
    if runs.empty:
        yield Paragraph("None.")
    else:
        heads = ("start (UTC)", "end (UTC)", "commit", "device", "versions", "arguments")
        yield Grid([[(name, 1) for name in heads]], [_run(run) for run in runs.to_dict("records")], "words")
    yield Heading(3, "Run time of each stage", "run-times")
    if stages.empty:
        yield Paragraph("Not recorded.")
        return
    yield Paragraph(
        "A run computes what the store lacks: the longest run of a stage is the one that did its work."
    )
    seconds = stages.groupby("stage", sort=False)["seconds"].agg(["max", "last"])
    lines = [
        [Cell(s), Cell(f"{row['max']:.1f} s"), Cell(f"{row['last']:.1f} s")] for s, row in seconds.iterrows()
    ]
    lines.append([Cell("all stages"), *(Cell(f"{seconds[c].sum():.1f} s") for c in ("max", "last"))])
    yield Grid([[("stage", 1), ("longest run", 1), ("last run", 1)]], lines)


def _facts(given: Given) -> list[tuple[str, str]]:
    facts = environment(given.workspace.device)
    profile = given.workspace.profile
    return [
        ("commit of this report", given.commit),
        (
            "profile",
            f"{profile.name}: {profile.title}" + (f", limit {profile.limit}" if profile.limit else ""),
        ),
        ("device", f"{facts['device']}, {os.cpu_count()} logical CPUs, {facts['threads'] or 'no'} threads"),
        ("Python", facts["python"]),
        ("packages", ", ".join(f"{name} {_version(name)}" for name in PACKAGES)),
        ("seeds of training", seeds(given, "DP-Net") if profile.parts else "none"),
        ("seeds of saliency", SEEDS),
    ]


def _run(run: dict[str, Any]) -> list[Cell]:
    versions = ", ".join(f"{name} {number}" for name, number in run["versions"].items() if number)
    arguments = " ".join(f"{name}={value}" for name, value in run["arguments"].items() if name != "command")
    return [
        Cell(str(run["start"])[:19]),
        Cell(str(run["end"])[:19] if run["end"] else "interrupted"),
        Cell(str(run["commit"])),
        Cell(str(run["device"])),
        Cell(versions),
        Cell(f"`{run['arguments'].get('command', 'run')}` {arguments}"),
    ]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
