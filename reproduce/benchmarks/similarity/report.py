"""The Markdown table and the plot of a similarity benchmark, from its CSV alone.

python -m reproduce.benchmarks.similarity.report similarity_cpu.csv
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from reproduce.benchmarks.reports import every, measured_with, save_svg, table_lines, write_report

KEYS = ["shape", "precision", "pass", "entropy"]
OURS = "ours (auto)"


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per setting: ours beside the fastest form of eager PyTorch, in time and in memory."""
    lines = []
    for key, group in rows.groupby(KEYS, sort=False):
        group = group.set_index("implementation")
        ours, eager = group.loc[OURS], group[group.index.str.startswith("eager")]
        best = eager["least_ms"].idxmin()
        others = group[~group.index.str.startswith(("eager", "ours"))]["least_ms"]
        lines.append(
            dict(zip(KEYS, key))
            | {
                "ours ms": ours["least_ms"],
                "eager ms": eager["least_ms"].min(),
                "fastest eager": best.removeprefix("eager "),
                "speed-up": eager["least_ms"].min() / ours["least_ms"],
                "of the product's rate": ours["rate_of_product"],
                "other": "" if others.empty else f"{others.idxmin()} {others.min():.1f} ms",
                "ours extra MB": ours["extra_mb"],
                "eager extra MB": eager["extra_mb"].min(),
            }
        )
    return pd.DataFrame(lines)


def markdown(table: pd.DataFrame, rows: pd.DataFrame) -> str:
    """The summary as a Markdown table under a line on the machine."""
    sizes = rows.drop_duplicates("shape")
    shapes = "; ".join(
        f"{r.shape_}: {r.B}, {r.R}, {r.P}, {r.d}"
        for r in sizes.rename(columns={"shape": "shape_"}).itertuples()
    )
    head = [
        f"# Part similarity on {every(rows, 'device')}",
        "",
        f"{measured_with(rows)}. Times are the least of "
        f"{rows.turns.min()} to {rows.turns.max()} turns, the speed-up is over the fastest of four eager forms, and "
        "memory is the peak beyond inputs and results, for eager the least of its forms. B, R, P, d of "
        f"{shapes}.",
        "",
    ]
    return "\n".join([*head, *table_lines(table, _number)]) + "\n"


def _number(column: str, value: float) -> str:
    if column == "speed-up":
        return f"{value:.2f}"
    if column == "of the product's rate":
        return f"{value:.0%}"
    return f"{value:.1f}"


def plot(table: pd.DataFrame, path: Path) -> None:
    """Speed-up over the fastest eager form, a bar per shape, a panel per pass."""
    panels = list(table.groupby(["pass", "entropy"], sort=False))
    figure, axes = plt.subplots(1, len(panels), figsize=(4 * len(panels), 4), sharey=True, squeeze=False)
    for axis, ((name, entropy), group) in zip(axes[0], panels):
        bars = group.pivot(index="shape", columns="precision", values="speed-up")
        bars = bars.reindex(group["shape"].unique())
        bars.plot.barh(ax=axis, legend=axis is axes[0][0])
        axis.axvline(1, color="black", linewidth=0.8)
        axis.set_title(name + (", with entropy" if entropy == "yes" else ""))
        axis.set_xlabel("speed-up over the fastest eager form")
        axis.set_ylabel("")
        axis.invert_yaxis()
    save_svg(figure, path, "similarity")


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        write_report(Path(argument), summary, markdown, plot)
