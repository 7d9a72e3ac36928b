"""The launches of each operation for given shapes, dtypes and device, made once and kept."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch

from opticam.masking.triton import backward, config, forward
from opticam.masking.triton.launcher import Launch

MODES = {"range": 0, "max": 1, "sigmoid": 2}
KEPT = 256
"""Plans kept of each kind; the one used longest ago goes first."""


class MaskSizes(NamedTuple):
    """What the launches of `saliency_mask` depend on.

    step: elements between the features of two images, 0 where one image's serve all. last: channels_last.
    dtypes: of features, logits_u and images. device: its number, -1 for the CPU (interpreted).
    """

    features: torch.Size
    step: int
    images: torch.Size
    last: bool
    normalization: str
    dtypes: tuple[torch.dtype, ...]
    device: int


def pixel_strides(images: torch.Size, last: bool) -> tuple[int, int]:
    """Elements between colours and between pixels."""
    _, colours, height, width = images
    return (1, colours) if last else (height * width, 1)


@lru_cache(maxsize=KEPT)
def forward_plan(sizes: MaskSizes) -> tuple[Launch, Launch]:
    """Combine, then mask."""
    _, channels, h, w = sizes.features
    batch, colours, height, width = sizes.images
    combine, mask = config.combine(channels, h * w), config.mask(h, w, width, sizes.dtypes[2].itemsize, batch)
    return (
        Launch(
            forward.combine_kernel,
            (batch, -(-h * w // combine["BLOCK_P"])),
            (sizes.step,),
            K=channels,
            CELLS=h * w,
            **combine,
        ),
        Launch(
            forward.mask_kernel,
            (batch, -(-height * width // mask["BLOCK"])),
            pixel_strides(sizes.images, sizes.last),
            C=colours,
            h=h,
            w=w,
            H=height,
            W=width,
            MODE=MODES[sizes.normalization],
            **mask,
        ),
    )


class BackwardPlan(NamedTuple):
    """Three launches, and how many numbers the first leaves per image."""

    rows: Launch
    cells: Launch
    project: Launch
    partial: int


@lru_cache(maxsize=KEPT)
def backward_plan(
    sizes: MaskSizes,
    has_masked: bool,
    has_map: bool,
    adam: tuple[float, float, float, float] | None,
    counts: bool,
) -> BackwardPlan:
    """Pixels to rows of cells, rows to cells, cells to logits_u.

    adam: rate, betas and epsilon of the step to take, None for the gradient itself. counts: the step's
    iteration is counted on the way.
    """
    _, channels, h, w = sizes.features
    batch, colours, height, width = sizes.images
    row = config.row(w, height, width, sizes.dtypes[2].itemsize)
    project = config.project(h * w)
    mode = MODES[sizes.normalization]
    rows = Launch(
        backward.row_kernel,
        (batch, -(-height // row["BLOCK_Y"]), row["CHUNKS"]),
        pixel_strides(sizes.images, sizes.last),
        HAS_MASKED=has_masked,
        HAS_MAP=has_map,
        C=colours,
        w=w,
        H=height,
        W=width,
        MODE=mode,
        **row,
    )
    cells = Launch(
        backward.cell_kernel,
        (batch,),
        COUNT=counts,
        h=h,
        w=w,
        H=height,
        W=width,
        MODE=mode,
        **config.cell(h, w, height, width),
    )
    projection = Launch(
        backward.project_kernel,
        (batch, -(-channels // project["BLOCK_K"])),
        (sizes.step,),
        **config.adam(adam),
        K=channels,
        CELLS=h * w,
        **project,
    )
    return BackwardPlan(rows, cells, projection, height * row["CHUNKS"] * w)


@lru_cache(maxsize=KEPT)
def channel_plan(
    features: torch.Size,
    step: int,
    images: torch.Size,
    count: int,
    dtypes: tuple[torch.dtype, ...],
    device: int,
) -> Launch:
    """One launch: a range-normalised mask per channel, times the image."""
    _, channels, h, w = features
    batch, colours, height, width = images
    mask = config.mask(h, w, width, dtypes[1].itemsize, batch * count)
    grid = batch * count, -(-height * width // mask["BLOCK"])
    sizes = {"C": colours, "h": h, "w": w, "H": height, "W": width}
    return Launch(forward.channel_kernel, grid, (step, count), K=channels, **sizes, **mask)


@lru_cache(maxsize=KEPT)
def step_plan(
    images: torch.Size,
    count: int,
    strides: tuple[int, ...],
    dtypes: tuple[torch.dtype, ...],
    device: int,
) -> Launch:
    """One launch: the image where the rank is below the step, else the baseline, which has these strides."""
    batch, colours, height, width = images
    chosen = config.step()
    grid = batch * count, -(-height * width // chosen["BLOCK"])
    return Launch(forward.step_kernel, grid, (count, *strides), C=colours, H=height, W=width, **chosen)
