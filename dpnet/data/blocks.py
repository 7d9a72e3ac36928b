"""Feature maps and in which order training reads them: shuffled, in blocks where memory holds no more than one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

CHUNK = 16
"""Neighbours on disk that are read together: as many as keep reading sequential and a block's classes mixed."""


class Features(Protocol):
    """Feature maps to train on: a tensor [N,d,h,w], or a `dpnet.data.features.FeatureCache` on disk."""

    @property
    def shape(self) -> Sequence[int]:
        """(N, d, h, w)."""

    def __len__(self) -> int:
        """Number of images N."""

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Feature maps [n,d,h,w] of the images with these indices."""


def block_size(features: Features) -> int | None:
    """How many images of these features may be in memory at a time; None without a bound."""
    found: int | None = getattr(features, "block_size", None)
    return found


def in_order(features: Features, batch_size: int = 256) -> tuple[Tensor, ...]:
    """The indices of all images, batch by batch, none larger than a block."""
    batches: tuple[Tensor, ...] = torch.arange(len(features)).split(
        min(batch_size, block_size(features) or batch_size)
    )
    return batches


def shuffled_blocks(
    count: int, size: int | None, batch_size: int, generator: torch.Generator
) -> list[list[Tensor]]:
    """Blocks of batches of the indices 0 to count - 1, each index once, in an order drawn from the generator.

    A block holds at most ``size`` images, taken from all over the set in chunks of `CHUNK` neighbours, as a folder's
    pictures lie class by class. Where one block holds everything, or ``size`` is None, the order is that of
    `torch.randperm`; in the latter case every batch is a block of its own.
    """
    if size is None or size >= count:
        batches = list(torch.randperm(count, generator=generator).split(batch_size))
        return [batches] if size else [[batch] for batch in batches]
    chunks = torch.arange(count).split(CHUNK)
    order = torch.randperm(len(chunks), generator=generator)
    blocks = []
    for some in order.split(max(1, size // CHUNK)):
        images = torch.cat([chunks[chunk] for chunk in some.tolist()])
        shuffled = images[torch.randperm(len(images), generator=generator)]
        blocks.append(list(shuffled.split(batch_size)))
    return blocks


def read_batches(
    features: Features, blocks: list[list[Tensor]], process: int = 0, processes: int = 1
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Each batch of indices [n], this process's share of them [m] and their feature maps [m,d,h,w].

    One block is in memory at a time: a batch is a copy, so that none keeps the block before alive.
    """
    for block in blocks:
        shares = [batch[process::processes] for batch in block]
        held = features[torch.cat(shares)]
        for batch, share, maps in zip(block, shares, held.split([len(share) for share in shares])):
            yield batch, share, maps if len(block) == 1 else maps.clone()
        del held, maps
