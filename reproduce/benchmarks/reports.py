"""What the reports of the benchmarks do alike: say what was measured with, print a table, write beside the CSV."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure

from opticam.plotting import write_figure


def write_report(
    path: Path,
    summary: Callable[[pd.DataFrame], pd.DataFrame],
    markdown: Callable[[pd.DataFrame, pd.DataFrame], str],
    plot: Callable[[pd.DataFrame, Path], None],
) -> None:
    """Write PATH with .md and .svg beside the CSV: both from the summary of its rows."""
    rows = pd.read_csv(path)
    table = summary(rows)
    path.with_suffix(".md").write_text(markdown(table, rows), encoding="utf-8")
    plot(table, path.with_suffix(".svg"))


def save_svg(figure: Figure, path: Path, salt: str) -> None:
    """Write a figure of pyplot's and close it, the same bytes for the same numbers and `salt`."""
    with plt.rc_context({"svg.hashsalt": salt}):
        figure.tight_layout()
        write_figure(figure, path, metadata={"Date": None})
    plt.close(figure)


def measured_with(rows: pd.DataFrame) -> str:
    """Every commit, PyTorch and, on a CPU, number of threads of a CSV's rows, in words."""
    threads = f", {every(rows, 'threads')} threads" if rows["threads"].notna().any() else ""
    return f"Commit {every(rows, 'commit')}, PyTorch {every(rows, 'torch')}{threads}"


def every(rows: pd.DataFrame, column: str) -> str:
    """The values that a column has, in words: "device", say, as a CSV may hold rows of several."""
    values = rows[column].dropna().unique()
    return " and ".join(f"{value:g}" if isinstance(value, float) else str(value) for value in values)


def table_lines(table: pd.DataFrame, number: Callable[[str, float], str]) -> Iterator[str]:
    """The lines of a Markdown table; `number` prints a float of the column that it is told, NaN and None are empty."""
    yield "| " + " | ".join(table.columns) + " |"
    yield "|" + "---|" * len(table.columns)
    for line in table.to_dict("records"):
        yield "| " + " | ".join(_text(str(column), value, number) for column, value in line.items()) + " |"


def _text(column: str, value: object, number: Callable[[str, float], str]) -> str:
    if value is None or pd.isna(value):
        return ""
    return number(column, value) if isinstance(value, float) else str(value)
