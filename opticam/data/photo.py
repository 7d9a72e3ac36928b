"""Read one photograph for a classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from opticam.data.photographs import PREFIX, sample_photograph
from opticam.data.pictures import open_picture

if TYPE_CHECKING:
    import torch

RESIZES = ("crop", "squash")


def read_photo(path: str | Path, size: int = 224, resize: str = "crop") -> torch.Tensor:
    """The photograph as float32 RGB [3,size,size] in [0,1], read by `opticam.data.pictures.open_picture`.

    path: a file, or "sample:NAME" for one of `opticam.data.photographs.PHOTOGRAPHS`.
    resize: "crop" scales the short side to size * 256 / 224 and cuts the centre, as ImageNet evaluation
    does; "squash" scales both sides to `size`, keeping everything but the aspect.
    Raises FileNotFoundError for no file, ValueError for an unknown name or a file that is no readable picture.
    """
    if resize not in RESIZES:
        raise ValueError(f"resize: expected one of {RESIZES}, got {resize!r}")
    try:
        image = open_picture(sample_photograph(str(path)) if str(path).startswith(PREFIX) else path)
    except (ValueError, FileNotFoundError) as error:
        raise type(error)(f"photo: {error}") from None
    from torchvision.transforms import functional as transforms  # here: torchvision takes seconds to load

    if resize == "squash":
        image = transforms.resize(image, [size, size])
    else:
        image = transforms.resize(image, round(size * 256 / 224))
        image = transforms.center_crop(image, [size, size])
    pixels: torch.Tensor = transforms.to_tensor(image)
    return pixels
