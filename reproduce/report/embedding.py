"""Pictures and texts as data URIs, so that a page needs no other file."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

MEDIA = {
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".csv": "text/csv;charset=utf-8",
    ".tex": "text/plain;charset=utf-8",
}
QUALITY = 82


def data_uri(path: Path) -> str:
    """The file in base64; a PNG that is smaller as lossy WebP goes in as that, a tenth of its size for photographs."""
    suffix, content = path.suffix, path.read_bytes()
    if suffix == ".png":
        with Image.open(path) as picture:
            lossy = _webp(picture.convert("RGB"))
        if len(lossy) < len(content):
            suffix, content = ".webp", lossy
    return _uri(suffix, content)


def array_uri(pixels: np.ndarray) -> str:
    """An RGB array [H,W,3] of 8 bits as lossy WebP in base64."""
    return _uri(".webp", _webp(Image.fromarray(pixels)))


def text_uri(name: str, text: str) -> str:
    """A text file, whose name tells its kind, in base64."""
    return _uri(Path(name).suffix, text.encode("utf-8"))


def _uri(suffix: str, content: bytes) -> str:
    return f"data:{MEDIA[suffix]};base64,{base64.b64encode(content).decode()}"


def _webp(picture: Image.Image) -> bytes:
    with io.BytesIO() as buffer:
        picture.save(buffer, "WEBP", quality=QUALITY)
        return buffer.getvalue()
