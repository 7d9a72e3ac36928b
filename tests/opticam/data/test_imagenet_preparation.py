"""Labels of validation pictures from class folders, from lists of WordNet ids and from the development kit."""

import hashlib
import random

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from opticam.data import imagenet_preparation
from opticam.data.imagenet import find_images
from opticam.data.imagenet_preparation import label_pictures, names_digest, take_stock

CLASSES, PICTURES = 5, 10
SYNSETS = [f"n{number:08d}" for number in (44, 7, 12345678, 300, 21)]  # as the kit counts them, from 1
TRUTH = [3, 1, 5, 2, 4, 4, 1, 2, 3, 5]  # the kit's number of each picture
RANK = {synset: place for place, synset in enumerate(sorted(SYNSETS))}
EXPECTED = {f"ILSVRC2012_val_{i + 1:08d}": RANK[SYNSETS[number - 1]] for i, number in enumerate(TRUTH)}


@pytest.fixture(autouse=True)
def small_challenge(monkeypatch):
    monkeypatch.setattr(imagenet_preparation, "CLASSES", CLASSES)
    monkeypatch.setattr(imagenet_preparation, "PICTURES", PICTURES)


def pictures(folder, by_class=False, names=EXPECTED):
    for place, name in enumerate(names):
        home = folder / SYNSETS[TRUTH[place] - 1] if by_class else folder
        home.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 3)).save(home / f"{name}.JPEG")
    return find_images(folder)


def devkit(folder):
    """As MATLAB writes it: the classes, then a hypernym of two of them."""
    (folder / "data").mkdir(parents=True)
    text = "\n".join(map(str, TRUTH)) + "\n"
    (folder / "data" / "ILSVRC2012_validation_ground_truth.txt").write_text(text)
    kind = [("ILSVRC2012_ID", "O"), ("WNID", "O")]
    rows = [(number, synset) for number, synset in enumerate(SYNSETS, 1)] + [(CLASSES + 1, "n00000001")]
    savemat(folder / "data" / "meta.mat", {"synsets": np.array(rows, dtype=kind)})
    return folder


def text_file(path, lines):
    path.write_text("\n".join(lines) + "\n")
    return path


def test_class_folders_need_nothing_else_where_all_are_there(tmp_path):
    assert label_pictures(pictures(tmp_path / "val", by_class=True)) == EXPECTED


def test_some_class_folders_with_a_list_of_all_classes(tmp_path):
    listed = [f"{synset} some words, and others" for synset in random.Random(0).sample(SYNSETS, CLASSES)]
    files = pictures(tmp_path / "val", by_class=True)
    some = {name: path for name, path in files.items() if path.parent.name != SYNSETS[0]}
    with pytest.raises(ValueError, match="synsets: 4 classes are known, expected 5"):
        label_pictures(some)
    expected = {name: EXPECTED[name] for name in some}
    assert label_pictures(some, synsets=text_file(tmp_path / "synsets.txt", listed)) == expected


def test_a_flat_folder_with_an_id_for_each_picture(tmp_path):
    lines = [SYNSETS[number - 1] for number in TRUTH]
    files = pictures(tmp_path / "val")
    assert label_pictures(files, synsets=text_file(tmp_path / "all.txt", lines)) == EXPECTED
    with pytest.raises(ValueError, match="has 5 lines; pictures in one folder need 10"):
        label_pictures(files, synsets=text_file(tmp_path / "classes.txt", SYNSETS))


def test_a_flat_folder_with_the_development_kit(tmp_path):
    assert label_pictures(pictures(tmp_path / "val"), devkit=devkit(tmp_path / "kit")) == EXPECTED


def test_what_does_not_fit_is_named(tmp_path):
    flat = pictures(tmp_path / "val")
    with pytest.raises(ValueError, match=r"val: the pictures lie in one folder; give --devkit or --synsets"):
        label_pictures(flat)
    with pytest.raises(FileNotFoundError, match=r"devkit: .* holds no ILSVRC2012_validation_ground_truth"):
        label_pictures(flat, devkit=tmp_path)
    with pytest.raises(FileNotFoundError, match="synsets: no file"):
        label_pictures(flat, synsets=tmp_path / "none.txt")
    with pytest.raises(ValueError, match=r"synsets: lines of .* got 'tench'"):
        label_pictures(flat, synsets=text_file(tmp_path / "words.txt", ["tench"]))
    with pytest.raises(ValueError, match="val: 'holiday' is not named as ILSVRC2012_val_00000001"):
        label_pictures(pictures(tmp_path / "own", names=["holiday"]), devkit=devkit(tmp_path / "kit"))
    pictures(tmp_path / "mixed", by_class=True)
    with pytest.raises(ValueError, match=r"val: .* lie in folders of a class, the others do not"):
        label_pictures({**find_images(tmp_path / "mixed"), "a": tmp_path / "val" / "a.JPEG"})


def test_the_stock_is_counted_and_every_picture_opens(tmp_path):
    files = pictures(tmp_path / "val")
    found = take_stock(files, EXPECTED)
    assert (found.pictures, found.classes, found.problems) == (PICTURES, CLASSES, ())
    assert found.bytes == sum(path.stat().st_size for path in files.values())
    listed = "\n".join(sorted(EXPECTED))
    assert found.digest == names_digest(files) == hashlib.sha256(listed.encode()).hexdigest()
    some = dict(list(files.items())[:7])
    assert "7 pictures instead of 10" in take_stock(some, {name: EXPECTED[name] for name in some}).problems
    first = next(iter(files.values()))
    for content in (b"", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 4 3\n%%EndComments\n"):
        first.write_bytes(content)
        with pytest.raises(
            ValueError, match="val: 1 pictures cannot be read, for example ILSVRC2012_val_00000001"
        ):
            take_stock(files, EXPECTED)


@pytest.mark.parametrize("limit", [5, 11])
def test_a_picture_of_too_many_pixels_is_counted_as_broken(tmp_path, monkeypatch, limit):
    """These have 12: Pillow warns above the limit and raises above twice as many."""
    files = pictures(tmp_path / "val")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(ValueError, match="val: 10 pictures cannot be read"):
        take_stock(files, EXPECTED)
