"""Draw saliency maps over images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text

from opticam.data.files import whole_file

COLOURS = "inferno"  # perceptually uniform and readable with every common colour vision


def overlay(image: torch.Tensor, saliency_map: torch.Tensor, opacity: float = 0.6) -> np.ndarray:
    """RGB [H,W,3] in [0,1]: the image [3,H,W] in grey under the map [H,W] in colour; both in [0,1]."""
    if saliency_map.shape != image.shape[1:]:
        raise ValueError(
            f"saliency_map: expected {tuple(image.shape[1:])}, got shape {tuple(saliency_map.shape)}"
        )
    grey = image.detach().float().mean(0).cpu().numpy()[..., None]
    colour = matplotlib.colormaps[COLOURS](saliency_map.detach().float().cpu().numpy())[..., :3]
    mixed: np.ndarray = np.clip((1 - opacity) * grey + opacity * colour, 0, 1)
    return mixed


def without_formulas(figure: Figure) -> Figure:
    """The figure with every text as it is: in names of files and classes a dollar sign begins no formula."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    return figure


def write_figure(figure: Figure, path: Path, **options: Any) -> None:
    """Write a figure as its file's suffix says, whole or not at all: `opticam.data.files.whole_file`.

    options: those of `Figure.savefig`.
    """
    with whole_file(path) as temporary:
        figure.savefig(temporary, format=path.suffix.removeprefix("."), **options)


def explanation_figure(image: torch.Tensor, saliency_map: torch.Tensor, title: str) -> Figure:
    """The image [3,H,W], the overlay and the masked image side by side, with a colour bar."""
    figure = Figure(figsize=(9.6, 3.4), layout="constrained")
    axes = figure.subplots(1, 3)
    pictures = (
        ("photo", _pixels(image)),
        ("saliency map", overlay(image, saliency_map)),
        ("masked photo", _pixels(image * saliency_map)),
    )
    for axis, (name, picture) in zip(axes, pictures):
        axis.imshow(picture)
        axis.set_title(name, fontsize=10)
        axis.axis("off")
    scale = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(0, 1), COLOURS)
    figure.colorbar(scale, ax=axes, shrink=0.8, label="saliency")
    figure.suptitle(title, fontsize=11)
    return figure


def map_grid(
    images: torch.Tensor, maps: Mapping[str, torch.Tensor], row_labels: Sequence[str], title: str = ""
) -> Figure:
    """One row per image [B,3,H,W], one column for a method's maps [B,H,W] beside the image itself."""
    rows, columns = len(images), len(maps) + 1
    figure = Figure(figsize=(1.5 * columns + 0.8, 1.55 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for row in range(rows):
        axes[row, 0].imshow(_pixels(images[row]))
        axes[row, 0].set_ylabel(row_labels[row], fontsize=8)
        for column, method_maps in enumerate(maps.values(), start=1):
            axes[row, column].imshow(overlay(images[row], method_maps[row]))
    for axis, name in zip(axes[0], ["image", *maps]):
        axis.set_title(name, fontsize=9)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    scale = matplotlib.cm.ScalarMappable(matplotlib.colors.Normalize(0, 1), COLOURS)
    figure.colorbar(scale, ax=axes, shrink=0.7, label="saliency", pad=0.01)
    figure.suptitle(title, fontsize=10)
    return figure


@dataclass(frozen=True)
class Explained:
    """What a method says of an image: the map [H,W], and the class probability of the masked image."""

    saliency_map: torch.Tensor
    probability: float


def masked_grid(
    images: torch.Tensor, titles: Sequence[str], methods: Mapping[str, Sequence[Explained | None]]
) -> Figure:
    """One row for each image [B,3,H,W]; for each method its map over the image beside the masked image.

    titles: above each image, such as its class and probability. Above a masked image stands the probability that the
    network still gives that class. Where a method has None for an image, both places stay empty.
    """
    rows, columns = len(images), 1 + 2 * len(methods)
    figure = Figure(figsize=(1.7 * columns + 0.3, 1.95 * rows + 0.4), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    for row, image in enumerate(images):
        axes[row, 0].imshow(_pixels(image))
        axes[row, 0].set_title(titles[row], fontsize=9)
        for place, (name, found) in enumerate(methods.items()):
            explained, over, masked = found[row], axes[row, 1 + 2 * place], axes[row, 2 + 2 * place]
            if explained is None:
                continue
            over.imshow(overlay(image, explained.saliency_map))
            masked.imshow(_pixels(image * explained.saliency_map))
            over.set_title(name, fontsize=9, fontweight="bold")
            masked.set_title(f"masked, p = {explained.probability:.2f}", fontsize=9)
    for axis in axes.flat:
        axis.axis("off")
    return figure


def _pixels(image: torch.Tensor) -> np.ndarray:
    """An image [3,H,W] of any float dtype, with a gradient or without, as Matplotlib draws it: [H,W,3]."""
    pixels: np.ndarray = image.detach().float().permute(1, 2, 0).cpu().numpy()
    return pixels
