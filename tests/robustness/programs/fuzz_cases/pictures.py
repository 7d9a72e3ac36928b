"""The picture reader: every mode and format that Pillow writes, and files of damaged bytes."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from PIL import Image

from fuzz_cases.tensors import Draw
from opticam.data.pictures import open_picture

FORMATS = {
    "png": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "jpeg": ("L", "RGB", "CMYK"),
    "tiff": ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F", "LAB"),
    "webp": ("RGB", "RGBA"),
    "gif": ("L", "P"),
    "bmp": ("1", "L", "RGB"),
}


def _picture(draw: Draw) -> tuple[Image.Image, bytes, str]:
    kind = draw(st.sampled_from(sorted(FORMATS)))
    mode = draw(st.sampled_from(FORMATS[kind]))
    width, height = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    generator = np.random.default_rng(draw(st.integers(0, 10**6)))
    if mode in ("I;16", "I", "F"):
        values = generator.integers(0, 65536, (height, width))
        image = Image.fromarray(values.astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]))
    else:
        plain = Image.fromarray(generator.integers(0, 256, (height, width, 4), dtype=np.uint8), "RGBA")
        image = plain.convert("RGB").convert(mode) if mode in ("P", "LAB") else plain.convert(mode)
    stream = io.BytesIO()
    options = {"lossless": True} if kind == "webp" else {}
    image.save(stream, kind, **options)
    return image, stream.getvalue(), kind


def _read(content: bytes, kind: str) -> Image.Image:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"picture.{kind}")
        path.write_bytes(content)
        return open_picture(path)


@st.composite
def picture(draw: Draw) -> str:
    """The pixels as they were written, transparency on white, 16 bits scaled to 8."""
    image, content, kind = _picture(draw)
    found = _read(content, kind)
    assert found.mode == "RGB" and found.size == image.size
    stored = Image.open(io.BytesIO(content))
    if stored.mode.startswith("I;16"):
        expected = np.rint(np.asarray(stored, dtype=np.float64) / 65535 * 255)[..., None]
    elif stored.mode in ("LA", "RGBA"):
        values = np.asarray(stored.convert("RGBA"), dtype=np.float64)
        alpha = values[..., 3:] / 255
        expected = values[..., :3] * alpha + 255 * (1 - alpha)
    elif stored.mode in ("I", "F"):
        values = np.asarray(stored, dtype=np.float64)[..., None]
        low, high = (0, 65535) if stored.mode == "I" else (min(0, values.min()), max(1, values.max()))
        if stored.mode == "F" and values.max() > 1:
            low = values.min()
        expected = 255 * (values - low) / max(high - low, 1e-300)
    else:
        expected = np.asarray(stored.convert("RGB"), dtype=np.float64)
    assert np.abs(np.asarray(found, dtype=np.float64) - expected).max() <= 1.01  # one step of rounding
    return "as stored"


@st.composite
def picture_bytes(draw: Draw) -> str:
    """Cut, overwritten or random bytes: a picture or a ValueError, never another exception or a crash."""
    _, content, kind = _picture(draw)
    damage = draw(st.sampled_from(["cut", "overwritten", "random", "empty"]))
    if damage == "cut":
        content = content[: draw(st.integers(0, len(content)))]
    elif damage == "overwritten":
        changed = bytearray(content)
        for _ in range(draw(st.integers(1, 8))):
            changed[draw(st.integers(0, len(changed) - 1))] = draw(st.integers(0, 255))
        content = bytes(changed)
    else:
        content = draw(st.binary(max_size=64)) if damage == "random" else b""
    try:
        found = _read(content, kind)
    except ValueError as error:
        assert "picture" in str(error) or "pixels" in str(error)
        return "refused"
    assert found.mode == "RGB"
    return "read"
