"""Figures of parts: where they are, what they add, what they look like."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from dpnet.explain.comparison import ClassParts
from opticam.plotting import overlay, without_formulas, write_figure

# Okabe and Ito (2008): people with any colour vision can tell them apart; black is left to the axes.
PART_COLOURS = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#F0E442")
POSITIVE, NEGATIVE, TOTAL = "#2166ac", "#b2182b", "#4d4d4d"


def photo_explanation(
    image: Tensor,
    exact: Tensor,
    dense: Tensor,
    heat_maps: Tensor,
    boxes: Tensor,
    participations: Tensor,
    names: Sequence[str],
    title: str,
    *,
    bias: float,
    logit: float,
) -> Figure:
    """One photo [3,H,W] and why it got its logit.

    Above: the best boxes [n,4] of its n top parts, the participation map ``exact`` [H,W], its CAM-like
    counterpart ``dense`` [H,W], and the parts' heat maps [n,H,W]. Below: the way from the class's bias to its logit,
    through what each part adds [n] and what all others add together. Heat maps are scaled to [0,1] for display, their
    real range is written under each; the two maps show what speaks for the class, in units of their largest value.
    """
    columns = len(names) + 3
    figure = Figure(figsize=(1.9 * columns, 4.6), layout="constrained")
    grid = figure.add_gridspec(2, columns, height_ratios=(1.2, 1))
    first, *others = (figure.add_subplot(grid[0, column]) for column in range(columns))
    _show(first, image, "best boxes")
    draw_boxes(first, boxes)
    show_participation(others[0], image, exact, "participation, exact")
    show_participation(others[1], image, dense, "CAM-like, dense")
    for position, axis in enumerate(others[2:]):
        show_heat(axis, image, heat_maps[position], names[position])
        draw_box(axis, boxes[position], position)
    waterfall(figure.add_subplot(grid[1, :]), logit_steps(bias, participations, names, logit), logit)
    figure.suptitle(title, fontsize=10)
    return figure


def show_heat(axis: Axes, image: Tensor, heat_map: Tensor, title: str) -> None:
    """A part's similarity map [H,W] over an image, scaled to [0,1]; its real range is written below."""
    low, high = heat_map.min().item(), heat_map.max().item()
    axis.imshow(overlay(image, (heat_map - low) / max(high - low, 1e-12)))
    axis.set_title(title, fontsize=8)
    axis.set_xlabel(f"{low:.2f} to {high:.2f}", fontsize=7)
    _no_ticks(axis)


def show_participation(axis: Axes, image: Tensor, signed_map: Tensor, title: str) -> None:
    """What speaks for a class, from a signed map [H,W], over an image; the largest value is 1."""
    positive = signed_map.clamp(min=0)
    axis.imshow(overlay(image, positive / positive.max().clamp(min=1e-12)))
    axis.set_title(title, fontsize=8)
    _no_ticks(axis)


def logit_steps(
    bias: float, participations: Tensor, names: Sequence[str], logit: float
) -> list[tuple[str, float]]:
    """The class's bias, what each shown part adds [n], and what all others add: together the logit."""
    shown = participations.detach().double().tolist()
    others = logit - bias - math.fsum(shown)
    return [("bias", bias), *zip(names, shown), ("all other parts", others)]


def waterfall(axis: Axes, steps: Sequence[tuple[str, float]], total: float) -> None:
    """Horizontal bars, the first on top, each beginning where the one above ends; below them the total from zero."""
    start = 0.0
    for row, (_, value) in enumerate(steps):
        axis.barh(row, value, left=start, color=POSITIVE if value >= 0 else NEGATIVE)
        start += value
        axis.plot([start, start], [row - 0.4, row + 1.4], color="black", linewidth=0.5)
        _annotate(axis, f"{value:+.2f}", start, row, value)
    axis.barh(len(steps), total, color=TOTAL)
    _annotate(axis, f"{total:.2f}", total, len(steps), total)
    axis.set_yticks(range(len(steps) + 1), [*(name for name, _ in steps), "logit"], fontsize=7)
    axis.invert_yaxis()
    axis.axvline(0, color="black", linewidth=0.6)
    axis.use_sticky_edges = False
    axis.margins(x=0.05)
    axis.set_xlabel("from the bias to the logit", fontsize=8)
    axis.tick_params(axis="x", labelsize=7)


def _annotate(axis: Axes, text: str, x: float, row: int, value: float) -> None:
    """Text beyond the end of a bar."""
    side, anchor = (4, "left") if value >= 0 else (-4, "right")
    axis.annotate(text, (x, row), (side, 0), textcoords="offset points", fontsize=7, va="center", ha=anchor)


def part_gallery(
    images: Sequence[Sequence[Tensor]],
    boxes: Tensor,
    responses: Tensor,
    row_names: Sequence[str],
    title: str = "",
) -> Figure:
    """One row per part, its k best images [3,H,W] with the box where it was found.

    ``images`` is n rows of k, ``boxes`` [n,k,4] in pixels, ``responses`` b_p [n,k].
    """
    rows, columns = responses.shape
    figure = Figure(figsize=(1.3 * columns + 0.9, 1.4 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for row in range(rows):
        for column in range(columns):
            axis = axes[row, column]
            _show(axis, images[row][column], "")
            draw_box(axis, boxes[row, column], row)
            axis.set_xlabel(f"{responses[row, column].item():.2f}", fontsize=6, labelpad=1)
        axes[row, 0].set_ylabel(row_names[row], fontsize=7)
    figure.suptitle(title, fontsize=9)
    return figure


def constraint_comparison(images: Tensor, settings: Mapping[str, ClassParts], title: str) -> Figure:
    """The same images [B,3,H,W] under each constraint setting, one row each, with its figures beside it."""
    rows, columns = len(settings), len(images)
    figure = Figure(figsize=(1.7 * columns + 2.4, 1.75 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns + 1, squeeze=False, width_ratios=[1] * columns + [1.3])
    for row, (name, result) in enumerate(settings.items()):
        for column in range(columns):
            _show(axes[row, column], images[column], "")
            draw_boxes(axes[row, column], result.boxes[column])
        axes[row, 0].set_ylabel(name, fontsize=9)
        text = "\n".join(f"{key.replace('_', ' ')}: {value:.2f}" for key, value in result.figures.items())
        axes[row, -1].text(0, 0.5, text, fontsize=7, va="center")
        axes[row, -1].axis("off")
    figure.suptitle(title, fontsize=10)
    return figure


def class_matrices(
    participations: Mapping[str, Tensor], class_names: Sequence[str], parts_per_class: int, title: str
) -> Figure:
    """Class-level participation [C,P] of several models, one image each, all in one colour scale.

    Lines part the owners, so a class-specific model has its colour in the blocks on the diagonal.
    """
    rows, columns = next(iter(participations.values())).shape
    height = 0.17 * rows + 0.55
    figure = Figure(figsize=(9, height * len(participations) + 0.5), layout="constrained")
    axes = figure.subplots(len(participations), 1, squeeze=False)[:, 0]
    limit = max(values.abs().quantile(0.995).item() for values in participations.values())
    for axis, (name, values) in zip(axes, participations.items()):
        options = {
            "cmap": "RdBu",
            "vmin": -limit,
            "vmax": limit,
            "aspect": "auto",
            "interpolation": "nearest",
        }
        drawn = axis.imshow(values.detach().cpu().numpy(), **options)
        for owner in range(1, columns // parts_per_class):
            axis.axvline(owner * parts_per_class - 0.5, color="black", linewidth=0.3)
        axis.set_yticks(range(rows), class_names, fontsize=5)
        axis.set_xticks([])
        axis.set_ylabel(name, fontsize=8)
    figure.colorbar(drawn, ax=axes, label="added to the logit, mean over the class", shrink=0.8)
    figure.suptitle(title, fontsize=10)
    return figure


def draw_boxes(axis: Axes, boxes: Tensor) -> None:
    """Outline the boxes [n,4] of parts 0 to n - 1; of those that are equal the earlier are thicker and show around."""
    for position, box in enumerate(boxes):
        above = int((boxes[position + 1 :] == box).all(dim=1).sum())
        draw_box(axis, box, position, 1 + min(above, len(PART_COLOURS) - 1))  # then the colours come again


def draw_box(axis: Axes, box: Tensor, position: int, thickness: int = 1) -> None:
    """Outline a box (x1, y1, x2, y2) as it is, in the colour of the part's position."""
    x1, y1, x2, y2 = (float(value) for value in box)
    colour = PART_COLOURS[position % len(PART_COLOURS)]
    outline = Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor=colour, linewidth=1.4 * thickness)
    axis.add_patch(outline)


def save_figure(figure: Figure, stem: str | Path) -> list[Path]:
    """Write a figure as STEM.png and STEM.pdf, each whole or not at all, making the folder; returns the two paths."""
    stem = Path(stem)
    paths = [stem.parent / f"{stem.name}.{suffix}" for suffix in ("png", "pdf")]
    without_formulas(figure)
    for path in paths:
        write_figure(figure, path, dpi=150)
    return paths


def _show(axis: Axes, image: Tensor, title: str) -> None:
    axis.imshow(image.detach().float().permute(1, 2, 0).clamp(0, 1).cpu().numpy())
    axis.set_title(title, fontsize=8)
    _no_ticks(axis)


def _no_ticks(axis: Axes) -> None:
    axis.set_xticks([])
    axis.set_yticks([])
