"""This run against the committed one, cell by cell: `python -m reproduce compare`."""

from __future__ import annotations

import argparse

import pandas as pd

from reproduce.cli.opening import select, workspace
from reproduce.cli.options import command_line
from reproduce.experiments.outcome import Outcome, compare_outcomes, outcomes
from reproduce.tables.cells import KEYS
from reproduce.tables.comparison import COMPARED
from reproduce.tables.metric_names import METRICS, printed
from reproduce.workspace.paths import committed_tables
from reproduce.workspace.workspace import Workspace

EQUAL, DIFFERENT, NOTHING = 0, 1, 3


def run(options: argparse.Namespace) -> int:
    """Print the cells that differ and one line of counts.

    0: every cell that both runs measured is equal, or differs by one in the last printed digit. 1: a cell lies
    outside. 3: nothing can be compared.
    """
    given = workspace(options)
    folder = options.folder or committed_tables(given.profile.name)
    if folder is None or not folder.is_dir():
        raise FileNotFoundError(
            f"folder: the profile {given.profile.name!r} needs one with tables, got {folder}"
        )
    compared = compare_outcomes(outcomes(given, select(options.only, given.profile)), folder)
    _print_differences(compared)
    print(summary(compared))
    if status(compared) == NOTHING and given.profile.limit and not options.folder:
        other = command_line(options, "compare", "FOLDER")
        print(f"the published tables are of the whole profile; give those of another first look: {other}")
    return status(compared)


def with_committed(given: Workspace, told: list[Outcome]) -> pd.DataFrame | None:
    """The cells beside the profile's last published run, where it has one that is the same everywhere."""
    folder = committed_tables(given.profile.name)
    if folder is None or not folder.is_dir() or not given.profile.same_everywhere:
        return None
    return compare_outcomes(told, folder)


def status(compared: pd.DataFrame) -> int:
    """The exit status that a comparison means."""
    if not compared["state"].isin(COMPARED).any():
        return NOTHING
    return DIFFERENT if (compared["state"] == "outside").any() else EQUAL


def summary(compared: pd.DataFrame) -> str:
    """One line: how many cells are as committed, and what became of the others."""
    counts = compared["state"].value_counts()
    whole = int(counts.reindex(COMPARED).sum())
    parts = [f"{counts.get('equal', 0):,} of {whole:,} cells as committed"]
    words = {
        "within rounding": "{} differ by one in the last digit",
        "outside": "{} differ by more",
        "missing": "{} of the committed ones are not run",
        "new": "{} are not among the committed ones",
        "other n": "{} were measured on another number of images or seeds",
        "time": "{} are times and not compared",
    }
    parts += [text.format(f"{counts[state]:,}") for state, text in words.items() if counts.get(state)]
    return "; ".join(parts)


def _print_differences(compared: pd.DataFrame) -> None:
    for cell in compared[compared["state"].isin(COMPARED[1:])].to_dict("records"):
        digits = METRICS[cell["metric"]].digits
        name = " ".join(str(cell[key]) for key in KEYS)
        numbers = f"committed {printed(cell['committed'], digits)}, here {printed(cell['measured'], digits)}"
        print(f"{cell['state']:16} {cell['table']}: {name}: {numbers}")
