"""Read one photograph for a classifier."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image

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
    Raises FileNotFoundError for no file, ValueError for an unknown name, a file that is no readable picture, or one
    too thin to be scaled.
    """
    image = open_photo(path, resize)
    try:
        return resized_pixels(image, size, resize)
    except ValueError as error:
        raise ValueError(f"photo: {path} {error}") from None


def photo_frame(path: str | Path, size: int = 224, resize: str = "crop") -> tuple[float, float, float, float]:
    """Box (x1, y1, x2, y2) of the upright photograph, in its pixels, that `read_photo` shows; errors as there."""
    image = open_photo(path, resize)
    if resize == "squash":
        return 0.0, 0.0, float(image.width), float(image.height)
    scaled = before_the_cut(image.size, size)
    scales = [whole / side for whole, side in zip(image.size, scaled)]
    first = [round((side - size) / 2) * scale for side, scale in zip(scaled, scales)]
    last = [corner + size * scale for corner, scale in zip(first, scales)]
    return first[0], first[1], last[0], last[1]


def open_photo(path: str | Path, resize: str = "crop") -> Image.Image:
    """The upright photograph as 8-bit RGB, in its own size; arguments and errors as of `read_photo`."""
    if resize not in RESIZES:
        raise ValueError(f"resize: expected one of {RESIZES}, got {resize!r}")
    try:
        return open_picture(sample_photograph(str(path)) if str(path).startswith(PREFIX) else path)
    except (ValueError, FileNotFoundError) as error:
        raise type(error)(f"photo: {error}") from None


def resized_pixels(image: Image.Image, size: int, resize: str) -> torch.Tensor:
    """An opened RGB picture as `read_photo` gives it; ValueError for one that scaling makes too large."""
    from torchvision.transforms import functional as transforms  # here: torchvision takes seconds to load

    if resize == "squash":
        image = transforms.resize(image, [size, size])
    else:
        width, height = before_the_cut(image.size, size)
        if Image.MAX_IMAGE_PIXELS and width * height > Image.MAX_IMAGE_PIXELS:
            raise ValueError(
                f"has {width} x {height} pixels when its short side is scaled to {min(width, height)}, more than "
                f"{Image.MAX_IMAGE_PIXELS:,}"
            )
        image = transforms.center_crop(transforms.resize(image, [height, width]), [size, size])
    pixels: torch.Tensor = transforms.to_tensor(image)
    return pixels


def before_the_cut(sides: tuple[int, int], size: int) -> tuple[int, int]:
    """Width and height, from these, when the short side is size * 256 / 224; the long one is cut to a whole number."""
    short = round(size * 256 / 224)
    width, height = (int(short * side / min(sides)) for side in sides)
    return width, height
