import hashlib

import pytest
import torch
from PIL import Image

from dpnet.data.leakage import check_no_leak, combined_hash, file_hashes, image_hashes
from dpnet.data.pictures import load_pictures
from dpnet.data.sources import DataSource


def paint(path, shade):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (20, 10), (shade, 0, 255 - shade)).save(path)


def mit(folder):
    for shade, name in enumerate(("bar/a.jpg", "bar/b.jpg", "casino/c.jpg", "casino/d.jpg")):
        paint(folder / "Images" / name, 60 * shade)
    (folder / "TrainImages.txt").write_text("bar/a.jpg\ncasino/c.jpg\n")
    (folder / "TestImages.txt").write_text("casino/d.jpg\nbar/b.jpg")


def cub(folder):
    names = ("001.Owl/x.jpg", "001.Owl/y.jpg", "002.Gull/z.jpg", "002.Gull/w.jpg")
    for shade, name in enumerate(names):
        paint(folder / "images" / name, 60 * shade)
    (folder / "images.txt").write_text("".join(f"{i} {name}\n" for i, name in enumerate(names, 1)))
    (folder / "image_class_labels.txt").write_text("1 1\n2 1\n3 2\n4 2\n")
    (folder / "train_test_split.txt").write_text("1 1\n2 0\n3 1\n4 0\n")
    (folder / "classes.txt").write_text("1 001.Owl\n2 002.Gull\n")


def imagenet(folder):
    for shade, name in enumerate(("train/n01/a", "train/n02/b", "val/c", "val/d")):
        paint(folder / f"{name}.JPEG", 60 * shade)
    rows = "ImageId,PredictionString\nd,n01 1 2 3 4 \nc,n02 5 6 7 8 n02 1 1 2 2\n"
    (folder / "LOC_val_solution.csv").write_text(rows)


def folders(folder):
    for shade, name in enumerate(("train/cat/1.png", "train/dog/2.png", "test/dog/3.png", "test/cat/4.png")):
        paint(folder / name, 60 * shade)
    (folder / "train/cat/notes.txt").write_text("no picture")


LAYOUTS = {"mit67": mit, "cub200": cub, "imagenet": imagenet, "folders": folders}
EXPECTED = {
    "mit67": ([("a.jpg", 0), ("c.jpg", 1)], [("d.jpg", 1), ("b.jpg", 0)], ("bar", "casino")),
    "cub200": ([("x.jpg", 0), ("z.jpg", 1)], [("y.jpg", 0), ("w.jpg", 1)], ("001.Owl", "002.Gull")),
    "imagenet": ([("a.JPEG", 0), ("b.JPEG", 1)], [("d.JPEG", 0), ("c.JPEG", 1)], ("n01", "n02")),
    "folders": ([("1.png", 0), ("2.png", 1)], [("4.png", 0), ("3.png", 1)], ("cat", "dog")),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_official_layouts_are_found_and_read(tmp_path, layout):
    LAYOUTS[layout](tmp_path)
    data = load_pictures(tmp_path, size=8)
    train, test, names = EXPECTED[layout]
    assert [(p.name, y) for p, y in zip(data.train.paths, data.train.labels.tolist())] == train
    assert [(p.name, y) for p, y in zip(data.test.paths, data.test.labels.tolist())] == test
    assert data.train.class_names == names
    image, label = data.test[0]
    assert image.shape == (3, 8, 8) and label == test[0][1]
    assert image.min() >= 0 and image.max() <= 1


@pytest.mark.parametrize(
    "layout, missing, source",
    [
        ("mit67", "TestImages.txt", "indoor"),
        ("mit67", "Images/casino/d.jpg", "indoor"),
        ("cub200", "classes.txt", "CUB_200_2011.tgz"),
        ("imagenet", "LOC_val_solution.csv", "image-net.org"),
        ("imagenet", "val/c.JPEG", "image-net.org"),
    ],
)
def test_a_missing_file_is_named_with_where_to_get_it(tmp_path, layout, missing, source):
    LAYOUTS[layout](tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(FileNotFoundError) as error:
        load_pictures(tmp_path, layout)
    assert missing in str(error.value) and source in str(error.value)


def test_bad_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no folder"):
        load_pictures(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="train is missing"):
        load_pictures(tmp_path)
    with pytest.raises(ValueError, match="layout is 'coco'"):
        load_pictures(tmp_path, "coco")
    folders(tmp_path)
    paint(tmp_path / "test/bird/5.png", 7)
    with pytest.raises(ValueError, match="class 'bird'"):
        load_pictures(tmp_path)
    (tmp_path / "test").rename(tmp_path / "val")
    (tmp_path / "test").mkdir()
    with pytest.raises(ValueError, match=r"test split .* holds no picture"):
        load_pictures(tmp_path)


def test_a_class_without_training_pictures_is_named_and_a_hidden_folder_is_none(tmp_path):
    folders(tmp_path)
    (tmp_path / "train/.cache").mkdir()
    assert load_pictures(tmp_path).train.class_names == ("cat", "dog")
    (tmp_path / "train/bird").mkdir()
    with pytest.raises(ValueError, match=r"class 'bird' of .* has no training picture"):
        load_pictures(tmp_path)
    (tmp_path / "train/bird").rmdir()
    (tmp_path / "test/dog/3.png").write_bytes((tmp_path / "train/cat/1.png").read_bytes())
    with pytest.raises(ValueError, match="class 'cat'"):
        DataSource(str(tmp_path), drop_shared=True).open(tmp_path)


@pytest.mark.parametrize("layout, below", [("folders", "test/dog"), ("imagenet", "train/n01")])
def test_hidden_files_are_no_pictures_and_pictures_in_folders_below_are_named(tmp_path, layout, below):
    LAYOUTS[layout](tmp_path)
    before = load_pictures(tmp_path, layout)
    folder = tmp_path / below
    for name in ("._x.jpg", ".thumbnails/x.jpg"):
        paint(folder / name, 3)
    (folder / "empty").mkdir()
    paint(folder / "empty/._y.png", 3)
    data = load_pictures(tmp_path, layout)
    assert data.train.paths == before.train.paths and data.test.paths == before.test.paths
    paint(folder / "deep/er/z.png", 3)
    with pytest.raises(ValueError, match=rf"{below}/deep/er/z\.png is in a folder below its class"):
        load_pictures(tmp_path, layout)


@pytest.mark.parametrize(
    "name, lines, message",
    [
        ("train_test_split", "1 1\n2 0\n4 0\n", r"train_test_split\.txt has no line 3"),
        ("image_class_labels", "1 1\n2 1\n3 2\n", r"image_class_labels\.txt has no line 4"),
        ("image_class_labels", "1 1\n2 1\n3 2\n4 7\n", r"classes\.txt has no line 7"),
    ],
)
def test_a_line_that_a_list_of_cub_lacks_is_named(tmp_path, name, lines, message):
    cub(tmp_path)
    (tmp_path / f"{name}.txt").write_text(lines)
    with pytest.raises(ValueError, match=message):
        load_pictures(tmp_path)


def test_a_validation_class_that_imagenets_training_pictures_lack_is_named(tmp_path):
    imagenet(tmp_path)
    solution = tmp_path / "LOC_val_solution.csv"
    solution.write_text(solution.read_text().replace("c,n02", "c,n03"))
    with pytest.raises(ValueError, match=r"solution\.csv has the class 'n03'"):
        load_pictures(tmp_path)
    for wnid in ("n01", "n03"):
        paint(tmp_path / "val" / wnid / "e.JPEG", 7)
    with pytest.raises(ValueError, match="val has the class 'n03'"):
        load_pictures(tmp_path)


def test_an_unreadable_picture_is_named(tmp_path):
    folders(tmp_path)
    (tmp_path / "train/cat/1.png").write_bytes(b"not a picture")
    with pytest.raises(ValueError, match=r"1\.png is not a readable picture"):
        load_pictures(tmp_path).train[0]


def test_a_picture_in_both_splits_is_found_under_another_name(tmp_path):
    folders(tmp_path)
    data = load_pictures(tmp_path)
    train, test = file_hashes(data.train.paths), file_hashes(data.test.paths)
    check_no_leak(train, test)
    (tmp_path / "test/dog/3.png").write_bytes((tmp_path / "train/cat/1.png").read_bytes())
    with pytest.raises(
        ValueError, match="1 test pictures are also training pictures, first at test position 1"
    ):
        check_no_leak(train, file_hashes(data.test.paths))


def test_hashes_are_sha256_of_the_content_and_their_combination_depends_on_order():
    images = torch.randint(0, 256, (3, 3, 5, 7), dtype=torch.uint8)
    hashes = image_hashes(images)
    assert hashes[1] == hashlib.sha256(bytes(images[1].flatten().tolist())).hexdigest()
    assert combined_hash(hashes) != combined_hash(hashes[::-1])


def test_training_pictures_that_are_also_test_pictures_can_be_dropped(tmp_path):
    folders(tmp_path)
    paint(tmp_path / "train/cat/5.png", 99)
    (tmp_path / "test/dog/3.png").write_bytes((tmp_path / "train/cat/1.png").read_bytes())
    whole = load_pictures(tmp_path).train
    data = DataSource(str(tmp_path), drop_shared=True).open(tmp_path)
    assert {path.name for path in whole.paths} - {path.name for path in data.train.paths} == {"1.png"}
    assert [data.train.class_names[label] for label in data.train.labels] == ["cat", "dog"]
    assert len(data.test) == len(load_pictures(tmp_path).test)
    check_no_leak(file_hashes(data.train.paths), file_hashes(data.test.paths))
