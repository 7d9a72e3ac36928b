"""The Markdown table and the plot of a masking benchmark, from its CSV alone.

python -m reproduce.benchmarks.masking.report masking_cpu.csv
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from reproduce.benchmarks.reports import every, measured_with, save_svg, table_lines, write_report

KEYS = ["operation", "shape", "batch", "dtype"]


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per setting: ours beside the fastest eager form, torch.compile and the floor, times per image."""
    lines = []
    for key, group in rows.groupby(KEYS, sort=False):
        group = group.set_index("implementation")
        times = group["median_ms"] / key[2]
        eager = times[times.index.str.startswith("eager")].min()
        compiled = times.get("torch.compile")
        ours = times["ours"]
        lines.append(
            dict(zip(KEYS, key))
            | {
                "ours": ours,
                "eager": eager,
                "torch.compile": compiled,
                "x eager": eager / ours,
                "x compile": None if compiled is None else compiled / ours,
                "copy floor": group.loc["ours", "floor_ms"] / key[2],
                "of the floor's rate": group.loc["ours", "floor_ms"] / group.loc["ours", "median_ms"],
                "extra MB": group.loc["ours", "extra_mb"],
                "eager extra MB": group[group.index.str.startswith("eager")]["extra_mb"].min(),
            }
        )
    return pd.DataFrame(lines)


def markdown(table: pd.DataFrame, rows: pd.DataFrame) -> str:
    """The summary as a Markdown table under a line on the machine."""
    head = [
        f"# The masking step on {every(rows, 'device')}",
        "",
        f"{measured_with(rows)}; 224 x 224 pixels, 3 colours. Milliseconds per image,",
        "medians; eager is the faster of its forms. The copy floor is the time of a plain copy of the bytes that",
        "must move. Extra memory is the peak of the whole batch beyond inputs and results.",
        "",
    ]
    return "\n".join([*head, *table_lines(table, _number)]) + "\n"


def _number(column: str, value: float) -> str:
    if column.startswith("of "):
        return f"{value:.0%}"
    return f"{value:.1f}" if column.startswith("x ") or column.endswith("MB") else f"{value:.4f}"


def plot(table: pd.DataFrame, path: Path) -> None:
    """Milliseconds per image against batch size; a column per operation, a row per shape."""
    operations, shapes = table["operation"].unique(), table["shape"].unique()
    size = (4 * len(operations), 2.8 * len(shapes))
    figure, axes = plt.subplots(len(shapes), len(operations), figsize=size, squeeze=False)
    first = table["dtype"].iloc[0]
    for (row, shape), (column, operation) in (
        (a, b) for a in enumerate(shapes) for b in enumerate(operations)
    ):
        chosen = table[
            (table["shape"] == shape) & (table["operation"] == operation) & (table["dtype"] == first)
        ]
        axis = axes[row, column]
        for name, style in (("eager", "o-"), ("torch.compile", "s-"), ("ours", "D-"), ("copy floor", "k:")):
            axis.plot(chosen["batch"], chosen[name], style, label=name, markersize=4)
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.set_title(f"{operation}, {shape}", fontsize=9)
        axis.set_xlabel("batch")
        axis.set_ylabel("ms per image")
    axes[0, 0].legend(fontsize=8)
    save_svg(figure, path, "masking")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        write_report(Path(argument), summary, markdown, plot)
