"""The sample pictures' digests, so that a platform that draws other pictures than the published ones says so."""

from __future__ import annotations

import hashlib
import json
import warnings
from pathlib import Path

import torch

FILE = Path(__file__).with_name("weights") / "pictures.json"


def pictures_digest(images: torch.Tensor, labels: torch.Tensor) -> str:
    """SHA-256 of uint8 images [N,3,H,W] and their labels [N]."""
    digest = hashlib.sha256(images.contiguous().numpy().tobytes())
    digest.update(labels.to(torch.int64).contiguous().numpy().tobytes())
    return digest.hexdigest()


def check_pictures(part: str, images: torch.Tensor, labels: torch.Tensor, path: Path | None) -> None:
    """Hold pictures against the digest that the project keeps of that part of a split, if it keeps one.

    part: "variant/split/pictures a class". path: the file that it was read from; a wrong one is a ValueError. Pictures
    drawn here that differ are no error, but a warning: numbers made of them are not the published ones.
    """
    known = json.loads(FILE.read_text(encoding="utf-8"))
    if part not in known:
        return
    expected, found = known[part], pictures_digest(images, labels)
    if found == expected:
        return
    digests = f"SHA-256 {found[:12]}..., expected {expected[:12]}..."
    if path is not None:
        raise ValueError(f"{path}: these are not the sample pictures {part} ({digests}); remove the file")
    warnings.warn(
        f"sample pictures {part}: this platform draws others than the published ones ({digests}); "
        "numbers made of them will differ",
        stacklevel=3,
    )
