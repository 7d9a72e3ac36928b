"""Every kind of picture that Pillow writes is read as what it shows."""

import os
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from opticam.data.imagenet import CorruptImageError, open_image
from opticam.data.photo import read_photo
from opticam.data.pictures import open_picture

UPRIGHT = np.array(
    [[[200, 0, 0], [0, 200, 0], [0, 0, 200]], [[9, 9, 9], [90, 90, 90], [250, 250, 250]]], np.uint8
)
# What each EXIF orientation does to the upright picture before it is stored (EXIF 2.3, tag 0x0112).
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("orientation", STORED)
def test_phone_pictures_are_read_upright_and_imagenets_as_stored(tmp_path, orientation):
    stored = np.ascontiguousarray(STORED[orientation](UPRIGHT))
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    assert np.array_equal(np.asarray(open_picture(tmp_path / "a.png")), UPRIGHT)
    assert np.array_equal(np.asarray(open_image(tmp_path / "a.png")), stored)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP", "MPO"])
@pytest.mark.parametrize("orientation", range(10))
def test_every_kind_is_turned_as_pillow_turns_it(tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(UPRIGHT.repeat(9, 0).repeat(8, 1)).save(tmp_path / "a", kind, exif=exif)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / "a")).convert("RGB"))
    assert np.array_equal(np.asarray(open_picture(tmp_path / "a")), expected)


def failing(error):
    def fail(*arguments):
        raise error

    return fail


def test_damaged_exif_data_leave_the_picture_as_it_is(tmp_path, monkeypatch):
    """Pillow writes the data anew when it turns a picture, which fails where they are damaged: not done here."""
    stored, exif = np.ascontiguousarray(STORED[6](UPRIGHT)), Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(stored).save(tmp_path / "a.png", exif=exif)
    monkeypatch.setattr(Image.Exif, "tobytes", failing(TypeError("bytes")))
    assert np.array_equal(np.asarray(open_picture(tmp_path / "a.png")), UPRIGHT)
    monkeypatch.setattr(Image.Exif, "get", failing(SyntaxError("not a TIFF file")))
    assert np.array_equal(np.asarray(open_picture(tmp_path / "a.png")), stored)


def test_whatever_a_reader_raises_is_told_but_for_a_lack_of_memory(tmp_path, monkeypatch):
    """As for damaged AVIF (RuntimeError), BLP and DDS (NotImplementedError)."""
    Image.fromarray(UPRIGHT).save(tmp_path / "a.dds")
    data = bytearray((tmp_path / "a.dds").read_bytes())
    data[80:84] = bytes(4)  # the flags of the pixels' format
    (tmp_path / "a.dds").write_bytes(data)
    with pytest.raises(ValueError, match="is not a readable picture"):
        open_picture(tmp_path / "a.dds")
    monkeypatch.setattr(Image, "open", failing(IndexError("index")))
    with pytest.raises(CorruptImageError, match="is not a readable picture"):
        open_image(tmp_path / "a.dds")
    monkeypatch.setattr(Image, "open", failing(MemoryError()))
    with pytest.raises(MemoryError):
        open_picture(tmp_path / "a.dds")


def test_sixteen_bits_keep_their_scale(tmp_path):
    grey = np.array([[0, 65535], [32768, 257]], np.uint16)
    Image.fromarray(grey).save(tmp_path / "a.png")
    found = np.asarray(open_picture(tmp_path / "a.png"))
    assert np.array_equal(found, np.rint(grey / 257)[..., None].repeat(3, 2))


@pytest.mark.parametrize(
    ("values", "expected"),
    [([0.0, 0.5, 1.0], [0, 128, 255]), ([-2.0, 0.0, 2.0], [0, 128, 255]), ([7.0] * 3, [0] * 3)],
)
def test_floats_are_scaled_from_their_range(tmp_path, values, expected):
    Image.fromarray(np.array([values], np.float32)).save(tmp_path / "a.tiff")
    assert np.array_equal(np.asarray(open_picture(tmp_path / "a.tiff"))[0, :, 0], expected)


def test_the_transparent_value_of_a_grey_picture_shows_white(tmp_path):
    """A PNG of 16 bits written out: 0 is transparent, 32768 is not."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 2, 1, 16, 0, 0, 0, 0)) + chunk(
        b"tRNS", struct.pack(">H", 0)
    )
    body = chunk(b"IDAT", zlib.compress(b"\0" + struct.pack(">HH", 0, 32768))) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + head + body)
    assert np.asarray(open_picture(tmp_path / "a.png"))[0].tolist() == [[255] * 3, [128] * 3]


def test_floats_that_are_not_finite_are_refused(tmp_path):
    Image.fromarray(np.array([[0.0, np.nan]], np.float32)).save(tmp_path / "a.tiff")
    with pytest.raises(ValueError, match="not finite"):
        open_picture(tmp_path / "a.tiff")


def test_what_is_transparent_shows_white(tmp_path):
    pixels = np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [200, 0, 0, 51]]], np.uint8)
    Image.fromarray(pixels, "RGBA").save(tmp_path / "a.png")
    found = np.asarray(open_picture(tmp_path / "a.png"))[0].tolist()
    assert found == [[200, 0, 0], [255, 255, 255], [244, 204, 204]]  # a fifth of the way from white to red


@pytest.mark.parametrize(
    "mode", ["1", "L", "P", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "I;16", "I", "F"]
)
def test_every_mode_is_read_as_three_channels(tmp_path, mode):
    picture = Image.fromarray(UPRIGHT)
    if mode in ("I;16", "I", "F"):
        grey = np.asarray(picture.convert("L"), dtype=float)
        scale = {"I;16": (np.uint16, 257), "I": (np.int32, 257), "F": (np.float32, 1 / 255)}[mode]
        picture = Image.fromarray((grey * scale[1]).astype(scale[0]))
    elif mode == "LAB":
        from PIL import ImageCms

        picture = ImageCms.profileToProfile(
            picture, ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        )
    else:
        picture = picture.convert(mode)
    suffix = "tiff" if mode in ("CMYK", "YCbCr", "LAB", "I", "F") else "png"
    picture.save(tmp_path / f"a.{suffix}")
    found = open_picture(tmp_path / f"a.{suffix}")
    assert found.mode == "RGB" and found.size == (3, 2)
    brightness = np.asarray(found.convert("L"), dtype=float)
    assert brightness[1, 2] > brightness[1, 0]  # near white and near black are told apart


def test_a_picture_of_a_billion_pixels_is_refused_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for side in (11, 30):  # Pillow warns above the limit and refuses above twice as many
        Image.new("L", (side, side)).save(tmp_path / "a.png")
        with pytest.raises(ValueError, match="more than 100 pixels") as told:
            open_picture(tmp_path / "a.png")
        assert "\n" not in str(told.value)
    with pytest.raises(CorruptImageError, match="more than 100 pixels"):
        open_image(tmp_path / "a.png")


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n"
FIELDS = {(3, 20): b"\0\0\0\x09", (3, 30): b"\0\0\0\x09", (3, 60): b"\x01\0", (3, 120): b"\1"}
IPTC = b"".join(struct.pack(">BBBH", 0x1C, *key, len(value)) + value for key, value in FIELDS.items())


@pytest.mark.parametrize(
    ("kind", "content"),
    [("EPS", EPS), ("IPTC", IPTC + struct.pack(">BBBH", 0x1C, 8, 10, len(EPS)) + EPS)],
    ids=["EPS", "IPTC"],
)
def test_no_other_program_is_started_for_a_picture(tmp_path, monkeypatch, kind, content):
    ghostscript = tmp_path / "bin" / "gs"
    ghostscript.parent.mkdir()
    ghostscript.write_text(f"#!/bin/sh\necho >> {tmp_path / 'ran'}\n")
    ghostscript.chmod(0o755)
    monkeypatch.setenv("PATH", str(ghostscript.parent), prepend=os.pathsep)
    (tmp_path / "photo.jpg").write_bytes(content)
    with Image.open(tmp_path / "photo.jpg") as image:
        assert image.format == kind  # Pillow takes it
    with pytest.raises(ValueError, match=f"is not a readable picture .its kind, {kind}, is not read"):
        open_picture(tmp_path / "photo.jpg")
    assert not (tmp_path / "ran").exists()


def test_what_is_no_picture_is_told(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"^photo: .*a\.png is not a readable picture"):
        read_photo(tmp_path / "a.png")
    with pytest.raises(FileNotFoundError, match="photo: there is no file"):
        read_photo(tmp_path / "b.png")


def test_a_photo_too_thin_to_be_scaled_is_told(tmp_path):
    Image.new("L", (1, 30_000)).save(tmp_path / "a.png")
    with pytest.raises(
        ValueError, match=r"^photo: .*a\.png has 256 x 7680000 pixels when its short side is scaled"
    ):
        read_photo(tmp_path / "a.png")
    assert read_photo(tmp_path / "a.png", resize="squash").shape == (3, 224, 224)


def test_a_photo_is_what_the_reader_gives(tmp_path):
    Image.fromarray(np.full((40, 40), 65535, np.uint16)).save(tmp_path / "a.png")
    assert torch.equal(read_photo(tmp_path / "a.png", 32), torch.ones(3, 32, 32))
