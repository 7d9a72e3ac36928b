"""Check that no picture is in both the training and the test split, by content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from torch import Tensor


def file_hashes(paths: Iterable[Path]) -> list[str]:
    """SHA-256 of each file, as 64 hexadecimal digits."""
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def image_hashes(images: Tensor) -> list[str]:
    """SHA-256 of each picture of uint8 [N,3,H,W], for data that is not in files."""
    return [hashlib.sha256(image.contiguous().numpy().tobytes()).hexdigest() for image in images]


def shared_positions(pictures: Sequence[str], others: Sequence[str]) -> list[int]:
    """Positions of the pictures whose hash is also among those of the others."""
    seen = set(others)
    return [position for position, value in enumerate(pictures) if value in seen]


def check_no_leak(train: Sequence[str], test: Sequence[str]) -> None:
    """Raise ValueError when a hash is in both splits, naming how many and the first test position."""
    shared = shared_positions(test, train)
    if shared:
        raise ValueError(
            f"{len(shared)} test pictures are also training pictures, first at test position {shared[0]}: "
            "accuracy would be too high; train without them (--drop-shared)"
        )


def labels_hash(labels: Tensor) -> str:
    """One hash, 16 hexadecimal digits, of class labels int64 [N] in this order, beside that of their pictures."""
    return hashlib.sha256(labels.cpu().numpy().tobytes()).hexdigest()[:16]


def combined_hash(hashes: Iterable[str]) -> str:
    """One hash, 16 hexadecimal digits, of pictures in this order; the identity of a split in a manifest."""
    return hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]
