"""The roofline of a device: operations a second over operations per byte, from the kernels' benchmark CSVs alone.

Counted is what must be done and moved, whatever an implementation does beyond it; a product and a sum are two
operations. The roofs were measured beside: the rate of a plain copy, and that of the bare matrix product.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from reproduce.benchmarks.masking.cases import CHANNELS, COLOURS, PIXELS, SHAPES, STEPS
from reproduce.benchmarks.similarity.cases import PRECISIONS
from reproduce.report.kernel_figures import MASKING, SIMILARITY, WIDTH, Kernel, fastest, save

BILINEAR, RANGE, SOFTMAX = 7, 2, 4
"""Operations: a pixel from four cells; less the least, times a factor; one weight."""

ENTRY = {precision.name: precision.dtype.itemsize for precision in PRECISIONS}
"""Bytes of one number of the regions."""

COLOUR = {"ours": "#0072b2", "eager": "#d55e00"}
MARKS = "osD^vPX*"


class Roofs(NamedTuple):
    """Gigabytes a second of a copy of the largest work's bytes, and GFLOP a second of bare products by precision."""

    bandwidth: float | None
    products: dict[str, float]


def masking_work(row: pd.Series) -> tuple[float, float]:
    """Operations and bytes of one row of the masking benchmark."""
    shape = next(shape for shape in SHAPES if shape.name == row["shape"])
    cells, pixels = shape.channels * shape.side**2, PIXELS**2
    masked = pixels * (BILINEAR + RANGE + COLOURS)
    forward = SOFTMAX * shape.channels + 2 * cells + masked
    backward = SOFTMAX * shape.channels + 2 * cells + pixels * (BILINEAR + 1 + RANGE + 2 * COLOURS - 1)
    per_image = {
        "saliency_mask forward": forward,
        "saliency_mask forward + backward": forward + backward,
        "channel_masks": CHANNELS * masked,
        "step_masks": STEPS * pixels * (1 + COLOURS),  # compared, then chosen
    }[row["operation"]]
    return float(row["batch"] * per_image), float(row["moved_mb"] * 1e6)


def similarity_work(row: pd.Series) -> tuple[float, float]:
    """Operations and bytes of one row of the similarity benchmark; the backward pass is that of the parts."""
    images, regions, parts, depth = (float(row[size]) for size in ("B", "R", "P", "d"))
    product, read = 2 * images * regions * parts * depth, images * regions * depth * ENTRY[row["precision"]]
    operations = product
    moved = read + 4 * parts * depth + 8 * images * parts  # a score and an argmax for each image and part
    if row["entropy"] == "yes":
        operations += SOFTMAX * images * regions * parts
        moved += 4 * images * regions
    if row["pass"] == "forward + backward":  # through the argmax regions alone, or through all similarities
        operations += product if row["entropy"] == "yes" else 2 * images * parts * depth
        moved += read + 4 * parts * depth + 4 * images * parts
    return operations, moved


WORK: dict[str, Callable[[pd.Series], tuple[float, float]]] = {
    MASKING.name: masking_work,
    SIMILARITY.name: similarity_work,
}


def points(kernel: Kernel, rows: pd.DataFrame) -> pd.DataFrame:
    """One row per piece of work and side, ours and the fastest eager form: operations per byte and GFLOP a second."""
    found = []
    for panel, side, row in fastest(kernel, rows):
        operations, moved = WORK[kernel.name](row)
        name = panel if kernel is MASKING else f"part similarity {panel}"
        found.append((name, side, operations / moved, operations / row[kernel.time] / 1e6))
    return pd.DataFrame(found, columns=["panel", "side", "intensity", "gflops"])


def roofs(masking: pd.DataFrame, similarity: pd.DataFrame) -> Roofs:
    """What was measured beside the kernels of one device; None and nothing where a benchmark has no rows."""
    bandwidth = float(masking.sort_values("moved_mb").iloc[-1]["copy_gb_s"]) if len(masking) else None
    if not len(similarity):
        return Roofs(bandwidth, {})
    sizes = similarity[["B", "R", "P", "d"]].astype(float)
    rates = 2 * sizes.prod(axis=1) / similarity["product_ms"] / 1e6
    return Roofs(bandwidth, rates.groupby(similarity["precision"], sort=False).max().to_dict())


def draw(table: pd.DataFrame, roofs: Roofs, title: str, path: Path) -> None:
    """Write the roofline: a mark for each operation, ours filled, the fastest eager form hollow."""
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    axis = figure.subplots()
    for mark, (name, group) in zip(MARKS, table.groupby("panel", sort=False)):
        for side, own in group.groupby("side", sort=False):
            axis.scatter(
                own["intensity"],
                own["gflops"],
                s=17,
                marker=mark,
                c=COLOUR[side] if side == "ours" else "none",
                edgecolors=COLOUR[side],
                linewidths=0.8,
                label=name if side == "ours" else None,
            )
    reach = table["intensity"].min() / 2, table["intensity"].max() * 2
    if roofs.bandwidth is not None:
        axis.plot(reach, [roofs.bandwidth * x for x in reach], color="black", linewidth=0.8)
        _say(axis, f"copy: {roofs.bandwidth:,.0f} GB/s", reach[0], roofs.bandwidth * reach[0])
    for names, rate in _told_apart(roofs.products):
        axis.axhline(rate, color="black", linewidth=0.8, linestyle=":")
        _say(axis, f"product, {names}: {rate:,.0f} GFLOP/s", reach[0], rate)
    highest = max([table["gflops"].max(), *roofs.products.values()])
    axis.set(xscale="log", yscale="log", xlim=reach, ylim=(table["gflops"].min() / 2, 2 * highest))
    axis.set_xlabel(
        "operations per byte that must move (filled: ours; hollow: the fastest eager form)", fontsize=7
    )
    axis.set_ylabel("GFLOP a second", fontsize=8)
    axis.tick_params(labelsize=8)
    axis.xaxis.set_minor_formatter(NullFormatter())
    figure.legend(loc="outside lower center", ncols=2, fontsize=6.5, frameon=False, handletextpad=0.1)
    figure.suptitle(title, fontsize=9)
    save(figure, path)


def _told_apart(products: dict[str, float]) -> list[tuple[str, float]]:
    """Roofs with their names; those that a line's width would not tell apart are one."""
    found: list[tuple[str, float]] = []
    for name, rate in sorted(products.items(), key=lambda pair: pair[1]):
        if found and rate < 1.05 * found[-1][1]:
            found[-1] = f"{found[-1][0]} and {name}", found[-1][1]
        else:
            found.append((name, rate))
    return found


def _say(axis: Axes, text: str, x: float, y: float) -> None:
    axis.annotate(text, (x, y), (3, 2), textcoords="offset points", fontsize=6.5, va="bottom")
