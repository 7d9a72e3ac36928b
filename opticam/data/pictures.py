"""The one reader of picture files: whatever Pillow opens becomes an upright RGB picture of 8 bits."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

BACKGROUND = (255, 255, 255)
"""What shows through the transparent parts of a picture: white."""


def open_picture(path: str | Path, upright: bool = True) -> Image.Image:
    """The picture in a file as 8-bit RGB: turned as its EXIF data say, transparency on `BACKGROUND`.

    Grey pictures of 16 or 32 bits are scaled: 16-bit ones from their full range, whole numbers and floats that
    exceed it from their own smallest to their largest value. upright: False leaves the pixels as they are stored,
    which is what ImageNet's boxes and published numbers refer to. Raises FileNotFoundError for no file, ValueError for
    one that is no readable picture, or has more pixels than Pillow takes for safe (`Image.MAX_IMAGE_PIXELS`).
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                return _rgb(ImageOps.exif_transpose(opened) if upright else opened)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(
            f"{path} has more than {Image.MAX_IMAGE_PIXELS:,} pixels; scale it down first"
        ) from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as error:
        raise ValueError(f"{path} is not a readable picture ({error})") from None


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        return _scaled(image).convert("RGB")
    if image.mode in ("LA", "PA", "RGBA", "La", "RGBa") or "transparency" in image.info:
        image = image.convert("RGBA")
        canvas = Image.new("RGBA", image.size, (*BACKGROUND, 255))
        image = Image.alpha_composite(canvas, image)
    return image.convert("RGB")


def _scaled(image: Image.Image) -> Image.Image:
    """A picture of one channel with more than 8 bits, as 8 bits."""
    values = np.asarray(image, dtype=np.float64)
    if not np.isfinite(values).all():
        raise ValueError("it has values that are not finite")
    low, high = (0.0, 65535.0) if image.mode != "F" else (0.0, 1.0)
    if values.min() < low or values.max() > high:
        low, high = values.min(), values.max()
    span = max(high - low, np.finfo(float).tiny)
    return Image.fromarray(np.rint(255 * (values - low) / span).astype(np.uint8))
