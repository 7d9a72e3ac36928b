"""The one reader of picture files: whatever Pillow opens becomes an upright RGB picture of 8 bits."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import ExifTags, Image

BACKGROUND = (255, 255, 255)
"""What shows through the transparent parts of a picture: white."""
_DRAWN_ELSEWHERE = ("EPS", "WMF", "IPTC")
"""Kinds that Pillow has another program draw, such as Ghostscript; IPTC may hold one of them."""
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""From each orientation of EXIF 2.3 to upright; Pillow's own way writes the EXIF data anew, damaged ones too."""


def open_picture(path: str | Path, upright: bool = True) -> Image.Image:
    """The picture in a file as 8-bit RGB: turned as its EXIF data say, if they do, transparency on `BACKGROUND`.

    Grey pictures of 16 or 32 bits are scaled: 16-bit ones from their full range, whole numbers and floats that
    exceed it from their own smallest to their largest value. upright: False leaves the pixels as they are stored,
    which is what ImageNet's boxes and published numbers refer to. Raises FileNotFoundError for no file, ValueError for
    one that is no readable picture, or has more pixels than Pillow takes for safe (`Image.MAX_IMAGE_PIXELS`).
    """
    with opened(path) as image:
        image.load()
        return _rgb(_turned(image) if upright else image)


@contextmanager
def opened(path: str | Path) -> Iterator[Image.Image]:
    """A picture file of which the header is read, its pixels when they are asked for; errors as of `open_picture`.

    A kind that another program would draw is refused, whatever the file is called.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(path) as image:
                if image.format in _DRAWN_ELSEWHERE:
                    raise ValueError(f"its kind, {image.format}, is not read")
                yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ValueError(
            f"{path} has more than {Image.MAX_IMAGE_PIXELS:,} pixels; scale it down first"
        ) from None
    except MemoryError:
        raise  # says nothing of the picture
    except Exception as error:  # a damaged file makes Pillow's readers raise anything
        raise ValueError(f"{path} is not a readable picture ({error})") from None


def _turned(image: Image.Image) -> Image.Image:
    try:
        turn = _TURNS.get(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF data say nothing
        return image
    return image if turn is None else image.transpose(turn)


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith(("I", "F")):
        picture = _scaled(image).convert("RGB")
        if "transparency" in image.info:  # the one value that is, of a grey PNG of 16 bits
            picture.paste(BACKGROUND, mask=Image.fromarray(np.asarray(image) == image.info["transparency"]))
        return picture
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
