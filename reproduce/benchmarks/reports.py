"""What the Markdown reports of the benchmarks do alike: say what was measured with, and print a table."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pandas as pd


def measured_with(rows: pd.DataFrame) -> str:
    """Commit, PyTorch and, on a CPU, threads of a CSV's rows, in words."""
    first = rows.iloc[0]
    threads = "" if pd.isna(first.threads) else f", {first.threads:.0f} threads"
    return f"Commit {first.commit}, PyTorch {first.torch}{threads}"


def table_lines(table: pd.DataFrame, cell: Callable[[str, object], str]) -> Iterator[str]:
    """The lines of a Markdown table; `cell` prints a value of the column that it is told."""
    yield "| " + " | ".join(table.columns) + " |"
    yield "|" + "---|" * len(table.columns)
    for line in table.to_dict("records"):
        yield "| " + " | ".join(cell(str(column), value) for column, value in line.items()) + " |"
