"""What must hold on every machine: numbers that follow from boxes alone, identities of rows, committed cells.

A contradicted claim, or a cell that differs from a published one, is a result: it is counted and printed first, and
fails nothing. `python -m reproduce claims` prints the claims.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

import pandas as pd

from reproduce.claims.expectations import Expectation, expectations
from reproduce.claims.measured import stored_results
from reproduce.cli.compare import DIFFERENT, EQUAL, status, summary, with_committed
from reproduce.cli.opening import output_folder, select, workspace
from reproduce.experiments.outcome import Outcome, outcomes
from reproduce.published.numbers import tables
from reproduce.saliency.fake_cam_boxes import CSV
from reproduce.tables.cells import count_verdicts, reasons, verdict_words
from reproduce.tables.metric_names import METRICS
from reproduce.workspace.workspace import Workspace

CHECKED = CSV.parent
PASSED, FAILED, INCOMPLETE = 0, 1, 3
STATES = {True: "holds", False: "FAILS", None: "not run"}


def run(options: argparse.Namespace) -> int:
    """Print one line per table, a differing cell and an expectation; 1 if an expectation fails, 3 if none is tested."""
    given = workspace(options)
    told = outcomes(given, select(options.only, given.profile))
    checks = (
        output_folder(options, given) / CHECKED
    )  # of this run; the report falls back on the committed ones
    found = [*expectations(stored_results(given), checks), *_committed(given, told)]
    for line in (*_tables(told), *(_expectation(one) for one in found)):
        print(line)
    print(f"\ncells: {verdict_words(count_verdicts(_cells(told)))}")
    states = [one.holds for one in found]
    print(", ".join(f"{states.count(state)} {word}" for state, word in STATES.items()))
    if False in states:
        print(f"FAILED: {states.count(False)} of what must hold on every machine")
        return FAILED
    if True not in states:
        print("INCOMPLETE: nothing that must hold on every machine is stored; run the experiments first")
        return INCOMPLETE
    print("passed")
    return PASSED


def _committed(given: Workspace, told: list[Outcome]) -> Iterator[Expectation]:
    """The profile's last published run, where cells are the same everywhere: none is off by more than a last digit."""
    compared = with_committed(given, told)
    if compared is not None:
        holds = {EQUAL: True, DIFFERENT: False}.get(status(compared))
        yield Expectation("cells are as in the last published run", holds, summary(compared))


def _expectation(one: Expectation) -> str:
    return f"expect {STATES[one.holds]:14} {one.text} ({one.evidence})"


def _cells(told: list[Outcome]) -> list[pd.DataFrame]:
    return [table.cells for outcome in told for table in outcome.tables.values()]


def _tables(told: list[Outcome]) -> Iterator[str]:
    """One line per table, and below it one per cell that differs; then the published tables with no measured one."""
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
        return "differs"
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
