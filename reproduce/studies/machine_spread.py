"""How far each printed cell moves between instruction sets, numbers of threads and versions of PyTorch.

    python -m reproduce.studies.machine_spread [--limit N] [--interpreter NAME=PYTHON] [--output DIR]

Runs the sample profile once under every setting that the processor has, each into a results folder of its own, and
compares the tables of every pair. An interpreter adds a setting: another Python with another PyTorch. What a run
has stored is not computed again, so the same command goes on where it was stopped.

`machine_spread.csv` has a row for each table, `machine_spread_pairs.csv` one for each pair of settings.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Mapping
from itertools import combinations
from pathlib import Path

import pandas as pd

from reproduce.studies.instruction_sets import SETTINGS, Setting, available
from reproduce.tables.cells import KEYS
from reproduce.tables.comparison import COMPARED, compare_tables, printed_steps, read_tables
from reproduce.tables.metric_names import METRICS
from reproduce.workspace.environment import environment
from reproduce.workspace.paths import RESULTS, ROOT

NAME = "machine_spread"
CLAIMS = "claims.csv"
Tables = Mapping[str, pd.DataFrame]


def run(setting: Setting, results: Path, limit: int | None, chosen: list[str]) -> Path:
    """The folder with tables and claims of a run under a setting. Raises CalledProcessError where the run fails."""
    output = results / "output"
    place = ["--quiet", "--results", str(results), "--output", str(output)]
    place += [] if limit is None else ["--limit", str(limit)]
    only = [text for name in chosen for text in ("--only", name)]
    processes = max(1, (os.cpu_count() or 1) // setting.threads)
    commands = [["run", *only, "--processes", str(processes), *place]]
    if chosen:  # a run of some experiments judges no claims
        commands.append(["claims", *place])
    with (results / "log").open("a") as log:
        for words in commands:
            subprocess.run(
                [setting.python, "-m", "reproduce", *words],
                env=os.environ | setting.environment() | {"PYTHONPATH": str(ROOT)},
                cwd=ROOT,
                stdout=log,
                stderr=subprocess.STDOUT,
                check=True,
            )
    return output / "tables"


def between_tables(runs: Mapping[str, Tables]) -> pd.DataFrame:
    """One row for each table: cells that all settings measured, those equal in all of them, and the widest spread.

    `spread` is the largest difference between two settings in units of the last printed digit, and `cell` the
    place where it is.
    """
    values = pd.concat([_values(tables).rename(name) for name, tables in runs.items()], axis=1, join="inner")
    steps = values.apply(_steps_apart, axis=1)
    rows = []
    for table, within in steps.groupby(level=0, sort=False):
        widest = within.idxmax()
        rows.append(
            {
                "table": table,
                "cells": len(within),
                "equal": int((within == 0).sum()),
                "within_one_digit": int((within == 1).sum()),
                "spread": int(within.max()),
                "cell": " ".join(map(str, widest[1:])) if within.max() else "",
            }
        )
    return pd.DataFrame(rows)


def between_settings(runs: Mapping[str, Tables], verdicts: Mapping[str, pd.Series]) -> pd.DataFrame:
    """One row for each pair of settings: cells compared, equal, within one digit, outside, and verdicts that differ."""
    rows = []
    for first, second in combinations(runs, 2):
        counts = (
            compare_tables(runs[first], runs[second])["state"].value_counts().reindex(COMPARED, fill_value=0)
        )
        both = pd.concat([verdicts[first], verdicts[second]], axis=1, join="inner")
        rows.append(
            {
                "first": first,
                "second": second,
                "cells": int(counts.sum()),
                **{state.replace(" ", "_"): int(counts[state]) for state in COMPARED},
                "claims": len(both),
                "verdicts_that_differ": int((both.iloc[:, 0] != both.iloc[:, 1]).sum()),
            }
        )
    return pd.DataFrame(rows)


def read_verdicts(folder: Path) -> pd.Series:
    """Each claim's verdict by what names it."""
    claims = pd.read_csv(folder / CLAIMS, keep_default_na=False, dtype=str)
    return claims.set_index(["kind", "id", "dataset", "network", "claim"])["verdict"]


def _values(tables: Tables) -> pd.Series:
    """The measured values of all cells but times, by table and keys."""
    found = pd.concat([cells.assign(table=name) for name, cells in tables.items()])
    found = found[found["measured"].notna() & found["metric"].map(lambda name: METRICS[name].unit != "s")]
    return found.set_index(["table", *KEYS])["measured"]


def _steps_apart(cell: pd.Series) -> int:
    """The widest difference of a cell between settings, in units of its last printed digit."""
    printed = [printed_steps(value, METRICS[cell.name[-1]].digits) for value in cell]
    return max(printed) - min(printed)


def _interpreter(text: str) -> Setting:
    name, _, python = text.partition("=")
    if not python or not Path(python).is_file():
        raise argparse.ArgumentTypeError(f"expected NAME=PYTHON with a Python that exists, got {text!r}")
    return Setting(name, "", 1, "avx512", "ALL", "AVX512", "", python)


def main() -> None:
    """Run what is missing under every setting, then write and print both tables."""
    parser = argparse.ArgumentParser(description="Printed cells under other instruction sets and versions.")
    parser.add_argument("--limit", type=int, help="as of `run`: so many images, one seed a model")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="as of `run`")
    parser.add_argument(
        "--interpreter", action="append", type=_interpreter, default=[], metavar="NAME=PYTHON"
    )
    parser.add_argument("--results", type=Path, default=RESULTS / NAME)
    parser.add_argument("--output", type=Path, help="folder for the tables; default that of --results")
    options = parser.parse_args()
    runs, verdicts = {}, {}
    for setting in (*available(SETTINGS), *options.interpreter):
        results = (options.results / setting.name.replace(", ", "-").replace(" ", "-")).resolve()
        results.mkdir(parents=True, exist_ok=True)
        print(f"{setting.name}: {results}", flush=True)
        folder = run(setting, results, options.limit, options.only)
        runs[setting.name], verdicts[setting.name] = read_tables(folder), read_verdicts(folder)
    facts = environment("cpu") | {"threads": "", "limit": options.limit or "all"}
    output = options.output or options.results
    output.mkdir(parents=True, exist_ok=True)
    for name, table in ((NAME, between_tables(runs)), (f"{NAME}_pairs", between_settings(runs, verdicts))):
        table.assign(**facts).to_csv(output / f"{name}.csv", index=False)
        print(table.to_string(index=False))


if __name__ == "__main__":
    main()
