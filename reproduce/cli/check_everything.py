"""Every table and every claim of a profile, judged on the stored results.

Fails where a claim that should hold does not, or a comparable cell differs beyond its stated tolerance, which
stands with its reason beside the published number. Which claims should hold is said where they are made: all of
them, unless the profile cannot decide one for a reason that was known before it ran (see `Claim`); whether they do
has no part in it. What is missing is "not run" and never passes: where nothing fails but a claim that should hold
is not tested, or nothing at all is measured, the exit status says so.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pandas as pd

from reproduce.cli.opening import workspace
from reproduce.cli.selection import select
from reproduce.experiments.outcome import Outcome, outcomes
from reproduce.experiments.verdicts import (
    FAILS,
    UNTESTED,
    claim_state,
    claim_words,
    count_verdicts,
    reasons,
    verdict_words,
)
from reproduce.published.numbers import tables
from reproduce.tables.metric_names import METRICS

PASSED, FAILED, INCOMPLETE = 0, 1, 3


def run(options: argparse.Namespace) -> int:
    """Print one line a table, a claim and a differing cell, then a summary; 0, 1 if any fails, 3 if incomplete."""
    given = workspace(options)
    told = outcomes(given, select(options.only, given.profile))
    for line in (*_tables(told), *_claims(told)):
        print(line)
    claims = [claim for outcome in told for claim in outcome.claims]
    counts = count_verdicts(_cells(told))
    failed = [claim for claim in claims if claim.expected and claim_state(claim) == FAILS]
    untested = [claim for claim in claims if claim.expected and claim_state(claim) == UNTESTED]
    print(f"\ncells: {verdict_words(counts)}")
    print(f"claims that should hold: {claim_words(claim for claim in claims if claim.expected)}")
    print(
        f"claims that cannot be decided here: {claim_words(claim for claim in claims if not claim.expected)}"
    )
    if failed or counts["differs"]:
        print(f"FAILED: {len(failed)} claims and {counts['differs']} cells")
        return FAILED
    if untested or not claims:
        print(
            f"INCOMPLETE: {len(untested)} claims that should hold are not tested; run the experiments first"
        )
        return INCOMPLETE
    print("passed")
    return PASSED


def _cells(told: list[Outcome]) -> list[pd.DataFrame]:
    return [table.cells for outcome in told for table in outcome.tables.values()]


def _tables(told: list[Outcome]) -> Iterator[str]:
    """One line a table, and below it one a cell that differs; then the published tables with no measured one."""
    shown = set()
    for outcome in told:
        for name, table in outcome.tables.items():
            shown.add(name)
            counts = count_verdicts([table.cells])
            yield f"table  {_word(counts):14} {name}: {verdict_words(counts)} ({'; '.join(reasons(table.cells))})"
            for _, cell in table.cells[table.cells["verdict"] == "differs"].iterrows():
                yield f"  cell differs       {_difference(cell)}"
    for name in tables():
        if name not in shown:
            yield f"table  {'not run':14} {name}: no experiment that was asked for measures it"


def _word(counts: dict[str, int]) -> str:
    if counts["differs"]:
        return "DIFFERS"
    if counts["reproduced"]:
        return "reproduced" if not counts["not run"] else "partly run"
    return "not comparable" if counts["not comparable"] else "not run"


def _difference(cell: pd.Series) -> str:
    digits = METRICS[cell["metric"]].digits
    return (
        f"{cell['network']} {cell['method']} {cell['metric']}: published {cell['published']:.{digits}f}, measured "
        f"{cell['measured']:.{digits}f} [{cell['low']:.{digits}f}, {cell['high']:.{digits}f}], tolerance "
        f"{cell['tolerance']:g} ({cell['reason']})"
    )


def _claims(told: list[Outcome]) -> Iterator[str]:
    for outcome in told:
        for claim in outcome.claims:
            state = claim_state(claim)
            word = state.upper() if state == FAILS and claim.expected else state
            aside = "" if claim.expected else f"; cannot be decided here: {claim.reason}"
            yield f"claim  {word:14} {outcome.experiment.name}: {claim.text} ({claim.evidence}{aside})"
