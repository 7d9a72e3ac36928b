"""Trivial maps that look at no picture; every localisation figure stands beside theirs.

Objects in photographs tend to be large and central, so these maps score well: a method that does not beat them
has found nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor


def whole_image_map(batch: int, height: int, width: int) -> Tensor:
    """Float32 [B, H, W] of ones with a 0 in the first pixel: its box is the whole image.

    This is Fake-CAM (Poppi et al., 2021); the one 0 keeps range normalisation from turning it into zeros.
    """
    maps = torch.ones(batch, height, width)
    maps[:, 0, 0] = 0
    return maps


def centre_map(batch: int, height: int, width: int) -> Tensor:
    """Float32 [B, H, W] in [0, 1]: a Gaussian about pixel (H // 2, W // 2), its sigma a quarter of each side.

    Its only maximum is that pixel, so the pointing game asks whether the image centre lies in a box.
    """
    rows = (torch.arange(height) - height // 2) / (height / 4)
    columns = (torch.arange(width) - width // 2) / (width / 4)
    bell = torch.exp(-(rows[:, None].square() + columns.square()) / 2)
    low, high = bell.aminmax()
    return ((bell - low) / (high - low)).expand(batch, -1, -1).clone()
