"""How many images one forward pass takes where a method or a metric makes many variants of each."""

from __future__ import annotations

from typing import overload

import torch


def default_batch(images: torch.Tensor) -> int:
    """Images a forward pass, from images [B,C,H,W]: 64 of 224 x 224 pixels on a GPU, 8 on a CPU.

    A CPU's cache holds the activations of few images: ResNet-50 takes 1.7 times as long an image in batches of
    32 as in batches of 8.
    """
    at_224 = 8 if images.device.type == "cpu" else 64
    return max(1, at_224 * 224 * 224 // max(1, images.shape[2] * images.shape[3]))


@overload
def check_max_batch(max_batch: int) -> int: ...


@overload
def check_max_batch(max_batch: int | None) -> int | None: ...


def check_max_batch(max_batch: int | None) -> int | None:
    """`max_batch` itself; ValueError unless it is None, or 1 or more."""
    if max_batch is not None and max_batch < 1:
        raise ValueError(f"max_batch: must be 1 or more, got {max_batch}")
    return max_batch
