import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from opticam.data.imagenet import CorruptImageError, ImageNetSet, find_images, open_image

DATA = Path(os.environ.get("OPTICAM_DATA", ""))


def write_pictures(folder, sizes):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    for name, (width, height) in sizes.items():
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}.png")


@pytest.fixture
def folder(tmp_path):
    write_pictures(tmp_path / "images" / "n01", {"a": (300, 260), "b": (260, 400)})
    write_pictures(tmp_path / "images", {"c": (224, 224), "unlabelled": (230, 230)})
    (tmp_path / "labels.csv").write_text("file,label\nb.JPEG,7\nc.JPEG,0\na.JPEG,999\nabsent.JPEG,3\n")
    (tmp_path / "boxes.csv").write_text(
        "file,x1,y1,x2,y2\na.png,30,26,150,130\na.png,0,0,300,260\nc.png,1,2,3,4\n"
    )
    return tmp_path


def test_items_follow_the_label_file(folder):
    pictures = ImageNetSet(folder / "images", folder / "labels.csv")
    assert pictures.names == ["b", "c", "a"]
    assert pictures.labels.tolist() == [7, 0, 999]
    image, label = pictures[2]
    assert label == 999 and image.shape == (3, 224, 224) and image.dtype == torch.float32
    assert image.min() >= 0 and image.max() <= 1
    assert len(ImageNetSet(folder / "images", folder / "labels.csv", limit=2)) == 2


def test_boxes_go_through_the_transform(folder):
    squashed = ImageNetSet(folder / "images", folder / "labels.csv", folder / "boxes.csv", "squash224")
    expected = torch.tensor([[30 / 300, 26 / 260, 150 / 300, 130 / 260], [0, 0, 1, 1]]) * 224
    torch.testing.assert_close(squashed.object_boxes(2), expected)
    torch.testing.assert_close(squashed.object_boxes(2, "legacy"), expected.trunc())
    cropped = ImageNetSet(folder / "images", folder / "labels.csv", folder / "boxes.csv")
    assert cropped.object_boxes(2)[1].tolist() == [0, 0, 224, 224]
    assert cropped.object_boxes(2, "legacy")[1].tolist() == [-17, 0, 241, 224]
    assert cropped.object_boxes(0).shape == (0, 4)
    with pytest.raises(ValueError, match="protocol must be"):
        cropped.object_boxes(2, "slides")


def test_the_annotated_size_counts_not_that_of_the_file(folder):
    """Boxes in pixels of the original belong to a smaller copy of the picture, too."""
    (folder / "boxes.csv").write_text("file,x1,y1,x2,y2,orig_w,orig_h\nc.JPEG,100,50,200,100,400,200\n")
    pictures = ImageNetSet(folder / "images", folder / "labels.csv", folder / "boxes.csv", "squash224")
    assert pictures.object_boxes(1).tolist() == [[56, 56, 112, 112]]


def test_a_corrupt_picture_names_its_file(folder):
    truncated = folder / "images" / "c.png"
    truncated.write_bytes(truncated.read_bytes()[:3000])
    pictures = ImageNetSet(folder / "images", folder / "labels.csv")
    with pytest.raises(CorruptImageError, match=r"c\.png") as caught:
        pictures[1]
    assert caught.value.path == truncated and caught.value.reason
    truncated.write_text("no picture at all")
    with pytest.raises(CorruptImageError, match="cannot be read"):
        pictures[1]
    assert pictures[0][0].shape == (3, 224, 224)


def test_a_picture_too_thin_to_be_scaled_counts_as_corrupt(folder):
    Image.new("L", (30_000, 1)).save(folder / "images" / "c.png")
    pictures = ImageNetSet(folder / "images", folder / "labels.csv")
    with pytest.raises(CorruptImageError, match=r"c\.png.* has 7680000 x 256 pixels when"):
        pictures[1]
    squashed = ImageNetSet(folder / "images", folder / "labels.csv", transform="squash224")
    assert squashed[1][0].shape == (3, 224, 224)


def test_pictures_are_found_behind_links_and_folders_are_no_pictures(tmp_path):
    write_pictures(tmp_path / "disk" / "n01", {"a": (4, 4)})
    (tmp_path / "val" / "d.jpg").mkdir(parents=True)
    (tmp_path / "val" / "n01").symlink_to(tmp_path / "disk" / "n01")
    (tmp_path / "disk" / "n01" / "up").symlink_to(tmp_path / "val")  # a circle
    assert find_images(tmp_path / "val") == {"a": tmp_path / "val" / "n01" / "a.png"}


@pytest.mark.parametrize("mode", ["L", "RGBA", "CMYK", "P", "I;16"])
def test_every_colour_mode_becomes_rgb(tmp_path, mode):
    path = tmp_path / ("x.jpeg" if mode == "CMYK" else "x.png")
    Image.new(mode, (240, 240)).save(path)
    (tmp_path / "labels.csv").write_text("x,1\n")
    image, _ = ImageNetSet(tmp_path, tmp_path / "labels.csv")[0]
    assert image.shape == (3, 224, 224)


def test_missing_input_is_named(folder, tmp_path):
    with pytest.raises(FileNotFoundError, match="images: no folder"):
        ImageNetSet(folder / "nowhere", folder / "labels.csv")
    with pytest.raises(FileNotFoundError, match="labels: no file"):
        ImageNetSet(folder / "images", folder / "nowhere.csv")
    with pytest.raises(FileNotFoundError, match="boxes: no file or folder"):
        ImageNetSet(folder / "images", folder / "labels.csv", folder / "nowhere.csv")
    with pytest.raises(ValueError, match="transform must be one of"):
        ImageNetSet(folder / "images", folder / "labels.csv", transform="crop")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no"):
        find_images(tmp_path / "empty")
    (folder / "other.csv").write_text("other.JPEG,5\n")
    with pytest.raises(ValueError, match="names none of the pictures"):
        ImageNetSet(folder / "images", folder / "other.csv")


@pytest.mark.skipif(not (DATA / "imagenet_val").is_dir(), reason="OPTICAM_DATA has no imagenet_val")
def test_real_pictures():
    pictures = ImageNetSet(
        DATA / "imagenet_val/images",
        DATA / "imagenet_val/labels.csv",
        DATA / "imagenet_val/boxes.csv",
        "squash224",
    )
    assert len(pictures) == 300
    boxes = [pictures.object_boxes(index) for index in range(300)]
    assert all(len(image) and image.min() >= 0 and image.max() <= 224 for image in boxes)
    # First box of the first picture: 51.81, 61.29, 199.05, 214.74 of 227 pixels.
    expected = torch.tensor([51.81, 61.29, 199.05, 214.74]) * 224 / 227
    torch.testing.assert_close(boxes[pictures.names.index("ILSVRC2012_val_00000355")][0], expected)


@pytest.mark.skipif(not (DATA / "imagenet_val_full").is_dir(), reason="OPTICAM_DATA has no imagenet_val_full")
def test_real_pictures_of_original_size():
    folder = DATA / "imagenet_val_full"
    pictures = ImageNetSet(folder / "images", folder / "boxes.csv", folder / "boxes.csv")
    assert all(image.shape == (3, 224, 224) for image, _ in pictures)
    for index, path in enumerate(pictures.paths):
        assert len(pictures.object_boxes(index))
        assert open_image(path).size == pictures.annotations[pictures.names[index]].size
