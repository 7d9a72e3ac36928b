"""Choose DP-Net's recipes by cross-validation, and keep the tables: `python -m reproduce select-parts`."""

from __future__ import annotations

import argparse

from reproduce.cli.opening import workspace
from reproduce.experiments.dpnet.constraints import ConstraintTable
from reproduce.experiments.dpnet.main import MainTable
from reproduce.parts.choices import FOLDER
from reproduce.parts.committed_selection import keep_selection
from reproduce.parts.models import choose_all


def run(options: argparse.Namespace) -> int:
    """Cross-validate what no record holds yet, and write all records to the profile's file.

    With --force nothing that is on record counts, so that every candidate is trained anew.

    What the file has of other data sets, pictures or settings stays, and of the same until all is chosen.
    """
    given = workspace(options)
    if given.profile.parts is None:
        raise ValueError(f"profile: {given.profile.name!r} trains no parts")
    choose_all(given, (*MainTable().runs(given), *ConstraintTable().runs(given)), anew=options.force)
    records = sorted((given.results / FOLDER).glob("*.csv"))
    print(f"written {keep_selection(given.profile.name, records)}: {len(records)} tables")
    return 0
