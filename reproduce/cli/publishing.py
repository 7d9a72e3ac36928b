"""`--publish`: what a whole run measured becomes the committed figures/, of one commit, machine and set of versions."""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path

import pandas as pd

from reproduce.workspace.environment import commit
from reproduce.workspace.paths import PUBLISHABLE, PUBLISHED, RESULTS, ROOT
from reproduce.workspace.workspace import Workspace

RECORD = "published.json"
OWN = ("tables/*", "*.png", "*.pdf", "*.svg", "*.html", "*.md", RECORD)
"""What a publication replaces; benchmarks, checks and studies are measured and committed apart."""
NO_SOURCES = (PUBLISHED.name, "docs", "tests", "*.md")
"""What no result comes from: a commit of these alone leaves the results of a run what they are."""
IN_PLACE = ("only", "limit", "count", "batch_size", "output", "network")
"""Options that no published run has, though its results lie in the profile's own folder with them, too."""


def check_publishable(options: argparse.Namespace, given: Workspace) -> None:
    """Raises ValueError, naming the option, unless this is a whole profile as it is, in a clean checkout.

    given: the workspace of the options. Whatever else changes numbers has a results folder of its own. Clean means all
    but figures/, where one profile's publication may follow on another's.
    """
    if options.profile not in PUBLISHABLE:
        raise ValueError(f"publish: takes the profile {' or '.join(PUBLISHABLE)}, not {options.profile}")
    apart = [f"--{name.replace('_', '-')}" for name in IN_PLACE if getattr(options, name)]
    if given.results != RESULTS / options.profile:
        apart.append(f"options whose results lie in {given.results}")
    if apart:
        raise ValueError(f"publish: takes the whole profile as it is, not {', '.join(apart)}")
    changed = _git("status", "--porcelain", "--", ".", f":!{PUBLISHED.name}")
    if changed:
        raise ValueError(f"publish: the checkout differs from its commit: {', '.join(changed.splitlines())}")


def check_one_origin(runs: pd.DataFrame) -> dict[str, object]:
    """Commit, device and versions of the runs in a store.

    Raises ValueError where they are not all the same, or the sources have changed since that commit.
    """
    origins = {json.dumps(_origin(run), sort_keys=True) for run in runs.to_dict("records")}
    now = commit()
    if len(origins) != 1 or not _same_sources(json.loads(next(iter(origins)))["commit"], now):
        told = "; ".join(sorted(origins)) or "none"
        raise ValueError(
            f"publish: needs results of one commit ({now}), machine and set of versions, not {told}; "
            "remove the profile's results and run again"
        )
    return json.loads(origins.pop())


def clear_published(origin: dict[str, object], folder: Path) -> None:
    """Remove what the last publication wrote into a folder and write down where the new one comes from."""
    folder.mkdir(parents=True, exist_ok=True)
    for pattern in OWN:
        for path in folder.glob(pattern):
            path.unlink()
    (folder / RECORD).write_text(json.dumps(origin, indent=1) + "\n", encoding="utf-8")


def _origin(run: dict[str, object]) -> dict[str, object]:
    return {name: run[name] for name in ("commit", "device", "versions")}


def _same_sources(measured: str, now: str) -> bool:
    """Whether two commits differ in what no result comes from, at most."""
    if measured == now:
        return True
    apart = (f":!{pattern}" for pattern in NO_SOURCES)
    line = ["git", "diff", "--quiet", measured, now, "--", ".", *apart]
    return subprocess.run(line, cwd=ROOT, capture_output=True).returncode == 0


def _git(*arguments: str) -> str:
    result = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    if result.returncode:
        raise ValueError(f"publish: this is no git checkout ({result.stderr.strip()})")
    return result.stdout.strip()
