"""The launches of each operation for given shapes, dtypes and device, made once and kept."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

from opticam.masking.triton import backward, config, forward
from opticam.masking.triton.launcher import Launch

MODES = {"range": 0, "max": 1, "sigmoid": 2}
KEPT = 256
"""Plans kept of each kind; the one used longest ago goes first."""


def feature_step(features: torch.Size) -> int:
    """Elements between the features of two images; 0 where one image's serve all."""
    return 0 if features[0] == 1 else features[1:].numel()


def blank(device: torch.device, *size: int) -> Tensor:
    """What `torch.empty_like` makes a float32 tensor of this size from: the quickest way to one.

    It holds a single number.
    """
    return torch.empty((), dtype=torch.float32, device=device).expand(size)


def pixel_strides(images: torch.Size, last: bool) -> tuple[int, int]:
    """Elements between colours and between pixels."""
    _, colours, height, width = images
    return (1, colours) if last else (height * width, 1)


class ForwardPlan(NamedTuple):
    """Two launches, and blanks of what they write beside the masked images."""

    combine: Launch
    mask: Launch
    weights: Tensor
    surface: Tensor
    saliency_map: Tensor


@lru_cache(maxsize=KEPT)
def forward_plan(
    features: torch.Size,
    images: torch.Size,
    last: bool,
    normalization: str,
    dtypes: tuple[torch.dtype, ...],
    device: torch.device,
) -> ForwardPlan:
    """Combine, then mask. last: channels_last. dtypes: of features, logits_u and images. device: of all of them."""
    _, channels, h, w = features
    batch, colours, height, width = images
    combine, mask = config.combine(channels, h * w), config.mask(h, w, width, dtypes[2].itemsize, batch)
    return ForwardPlan(
        Launch(
            forward.combine_kernel,
            (batch, -(-h * w // combine["BLOCK_P"])),
            (feature_step(features),),
            K=channels,
            CELLS=h * w,
            **combine,
        ),
        Launch(
            forward.mask_kernel,
            (batch, -(-height * width // mask["BLOCK"])),
            pixel_strides(images, last),
            C=colours,
            h=h,
            w=w,
            H=height,
            W=width,
            MODE=MODES[normalization],
            **mask,
        ),
        blank(device, batch, channels),
        blank(device, batch, h, w),
        blank(device, batch, height, width),
    )


class BackwardPlan(NamedTuple):
    """Three launches, and blanks of what the first two leave for the next."""

    rows: Launch
    cells: Launch
    project: Launch
    partial: Tensor
    coarse: Tensor
    offset: Tensor


@lru_cache(maxsize=KEPT)
def backward_plan(
    features: torch.Size,
    images: torch.Size,
    last: bool,
    normalization: str,
    dtypes: tuple[torch.dtype, ...],
    device: torch.device,
    has_masked: bool,
    has_map: bool,
    adam: tuple[float, float, float, float] | None,
    counts: bool,
) -> BackwardPlan:
    """Pixels to rows of cells, rows to cells, cells to logits_u.

    adam: rate, betas and epsilon of the step to take, None for the gradient itself. counts: the step's
    iteration is counted on the way.
    """
    _, channels, h, w = features
    batch, colours, height, width = images
    row = config.row(w, height, width, dtypes[2].itemsize)
    project = config.project(h * w)
    mode = MODES[normalization]
    rows = Launch(
        backward.row_kernel,
        (batch, -(-height // row["BLOCK_Y"]), row["CHUNKS"]),
        pixel_strides(images, last),
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
        (feature_step(features),),
        **config.adam(adam),
        K=channels,
        CELLS=h * w,
        **project,
    )
    partial = blank(device, batch, height * row["CHUNKS"] * w)
    return BackwardPlan(rows, cells, projection, partial, blank(device, batch, h, w), blank(device, batch))


@lru_cache(maxsize=KEPT)
def channel_plan(
    features: torch.Size,
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
    return Launch(forward.channel_kernel, grid, (feature_step(features), count), K=channels, **sizes, **mask)


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
