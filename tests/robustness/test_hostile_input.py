"""Input that means harm or is merely odd: code in pickles, markup in names, files of labels and boxes."""

from __future__ import annotations

import csv
import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dpnet.__main__ as dpnet_program
import opticam.__main__ as opticam_program
from opticam.data.imagenet import ImageNetSet
from opticam.data.imagenet_boxes import read_boxes
from opticam.data.imagenet_labels import read_labels

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CLASSES = ("<script>alert(1)<", 'a$\\frac{b$ "q"', "new\nline'")
FILES = (b"<img src=x onerror=alert(1)>.png", b"quo\"te's $x_{.png", b"new\nline.png", b"caf\xe9.png")


class Code:
    """Unpickled, it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = str(marker)

    def __reduce__(self):
        return os.mkdir, (self.marker,)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Path:
    """data/ with hostile names, of folders and files, and a part model trained on it."""
    root = tmp_path_factory.mktemp("hostile world")
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("test", 2)):
        for place, name in enumerate(CLASSES):
            folder = root / "data" / split / name
            folder.mkdir(parents=True)
            for file in FILES[:count]:
                pixels = rng.integers(80 * place, 80 * place + 90, (70, 90, 3), np.uint8)
                with open(os.path.join(os.fsencode(folder), file), "wb") as stream:
                    Image.fromarray(pixels).save(stream, "png")
    assert dpnet_program.main(training(root)) == 0
    return root


def training(root: Path, *more: object) -> list[str]:
    words = ["train", "--data", root / "data", "--backbone", "sample_vgg", "--size", 64, "--epochs", 2]
    words += ["--parts-per-class", 2, "--output", root / "runs", "--cache", root / "cache", *more]
    return [str(word) for word in words]


def on_model(root: Path, command: str, *more: object) -> list[str]:
    words = [command, "--model", root / "runs" / "parts-seed0", "--cache", root / "cache", *more]
    return [str(word) for word in words]


def test_names_of_classes_and_pictures_are_only_names(world, tmp_path, capsys, fault):
    photo = world / "data" / "test" / CLASSES[0] / os.fsdecode(FILES[0])
    for words in (
        on_model(world, "gallery", "-o", tmp_path / "gallery"),
        on_model(world, "gallery", "--class", CLASSES[1], "-o", tmp_path / "one"),
        on_model(world, "explain", photo, "-o", tmp_path / "explanation"),
        on_model(world, "evaluate"),
    ):
        assert dpnet_program.main(words) == 0, capsys.readouterr().err
    assert {path.name for path in tmp_path.glob("*.png")} == {"gallery.png", "one.png", "explanation.png"}
    fault(
        "names",
        "HTML, quotes, formulas, newlines, not UTF-8: train, gallery, explain, evaluate",
        4,
        "as printed",
    )


def test_pickles_with_code_are_refused_wherever_files_are_read(world, tmp_path, capsys, fault):
    """Every file that training left, in turn, is replaced by such a pickle; then everything is called that reads it."""
    marker, tried = tmp_path / "marker", 0
    content = pickle.dumps(Code(marker))
    files = [
        path.relative_to(world) for path in world.rglob("*") if path.is_file() and "data" not in path.parts
    ]
    assert {"checkpoint.pt", "model.safetensors", "model.json"} <= {path.name for path in files}
    for file in files:
        copy = tmp_path / "copy"
        shutil.copytree(world, copy)
        (copy / file).write_bytes(content)
        for words in (training(copy), on_model(copy, "evaluate")):
            assert dpnet_program.main(words) in (0, 2)  # 0 where the file is made anew or not read
            assert "Traceback" not in capsys.readouterr().err
            tried += 1
        shutil.rmtree(copy)
    weights = tmp_path / "weights.pth"
    weights.write_bytes(content)
    photo = ["explain", "sample:chelsea", "--network", "squeezenet1_1", "-o", str(tmp_path / "out.png")]
    assert opticam_program.main([*photo, "--weights", str(weights)]) == 2
    other = ["--data", world / "data", "--backbone", "squeezenet1_1", "--weights", weights]
    assert dpnet_program.main(training(tmp_path, *other)) == 2
    assert not marker.exists()
    pickle.loads(content)
    assert marker.exists()  # it would have worked
    fault("code in pickles", "in place of weights, checkpoints, models, caches", tried + 2, "never executed")


LABELS = {
    "byte-order mark": (b"\xef\xbb\xbfa.png,1\nb.png,2\n", {"a": 1, "b": 2}),
    "byte-order mark and header": (b"\xef\xbb\xbffile,label\r\na.png,1\r\nb.png,2\r\n", {"a": 1, "b": 2}),
    "CRLF": (b"a.png,1\r\nb.png,2\r\n", {"a": 1, "b": 2}),
    "blank lines": (b"\n\na.png,1\n\n\nb.png,2\n", {"a": 1, "b": 2}),
    "quoted name with a newline": (b'"a\nb.png",1\n', {"a\nb": 1}),
    "twice the same": (b"a.png,1\na.png,1\n", {"a": 1}),
    "one column": (b"a.png\nb.png\n", "must hold lines"),
    "two classes": (b"a.png,1\na.png,2\n", "two classes to a"),
    "a float": (b"a.png,1\nb.png,2.0\n", "got 'b.png,2.0'"),
    "a negative class": (b"a.png,1\nb.png,-1\n", "got 'b.png,-1'"),
    "nothing": (b"", "holds no line"),
    "Latin-1": (b"caf\xe9.png,1\n", "is no text in UTF-8"),
    "UTF-16": ("a.png,1\nb.png,2\n".encode("utf-16"), "is no text in UTF-8"),
    "zero bytes": (b"a.png,1\n\0\0\0,\0\n", "labels: "),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "is no text in UTF-8"),
}


@pytest.mark.parametrize("kind", LABELS)
def test_files_of_labels(tmp_path, fault, kind):
    content, expected = LABELS[kind]
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    if isinstance(expected, dict):
        assert read_labels(path) == expected
        fault("labels", kind, 1, "read")
        return
    with pytest.raises(ValueError, match=r"^labels: ") as raised:
        read_labels(path)
    assert expected in str(raised.value) and str(path) in str(raised.value)
    fault("labels", kind, 1, "refused")


HEADER = "file,x1,y1,x2,y2\n"
BOXES = {
    "corner that is a word": HEADER + "a.png,1,2,x,4\n",
    "corner that is missing": HEADER + "a.png,1,2,,4\n",
    "corners in the wrong order": HEADER + "a.png,5,2,3,4\n",
    "corner at infinity": HEADER + "a.png,1,2,inf,4\n",
    "short lines": HEADER + "a.png,1\n",
    "long lines": HEADER + "a.png,1,2,3,4\na.png,1,2,3,4,5,6,7\n",
    "other columns": "name,left\na,1\n",
    "Kaggle's without boxes": "ImageId,PredictionString\na,\n",
    "Kaggle's with four words": "ImageId,PredictionString\na,n01 1 2 3\n",
    "Kaggle's with a word for a corner": "ImageId,PredictionString\na,n01 1 2 3 x\n",
    "nothing": "",
    "zero bytes": "\0\0\0\0",
}


@pytest.mark.parametrize("kind", BOXES)
def test_files_of_boxes(tmp_path, fault, kind):
    path = tmp_path / "boxes.csv"
    path.write_text(BOXES[kind])
    with pytest.raises(ValueError, match=r"^boxes: ") as raised:
        read_boxes(path)
    assert "boxes.csv" in str(raised.value) or "PredictionString of a" in str(raised.value)
    fault("boxes", kind, 1, "refused")


def test_an_annotation_that_unfolds_to_gigabytes(tmp_path, fault):
    entities = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
    text = f'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY e0 "boxes">{entities}]><annotation>&e11;</annotation>'
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(ValueError, match=r"^boxes: "):
        read_boxes(tmp_path)
    fault("boxes", "XML whose entities unfold to a hundred billion words", 1, "refused")


def pictures(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (9, 9)).save(folder / name)
    return folder


def test_labels_and_boxes_of_other_pictures(tmp_path, fault):
    folder = pictures(tmp_path / "pictures", "a.png")
    (tmp_path / "labels.csv").write_text("a.png,1\n")
    (tmp_path / "others.csv").write_text("b.png,1\n")
    (tmp_path / "boxes.csv").write_text(HEADER + "b.png,1,2,3,4\n")
    with pytest.raises(ValueError, match=r"labels: .* names none of the pictures"):
        ImageNetSet(folder, tmp_path / "others.csv")
    with pytest.raises(ValueError, match=r"boxes: .* of none of the pictures"):
        ImageNetSet(folder, tmp_path / "labels.csv", tmp_path / "boxes.csv")
    with pytest.raises(ValueError, match=r"images: .* have one name"):
        ImageNetSet(pictures(folder, "deeper/a.png"), tmp_path / "labels.csv")
    fault("labels and boxes", "of other pictures; two pictures of one name", 3, "refused")


def test_paths_with_spaces_quotes_and_markup_from_another_directory(tmp_path, python, fault):
    home = tmp_path / "a b'<img src=x onerror=alert(1)>"
    pictures(home / "my pictures", "x y.png", "<b>.png")
    with (home / "la bels.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows([("file", "label"), ("x y.png", 1), ("<b>.png", 2)])
    done = python("-m", "opticam", "explain", "my pictures/x y.png", "--network", "efficientnet_lite0",
                  "--method", "Grad-CAM", "-o", "o u t.png", cwd=home)  # fmt: skip
    assert done.returncode == 0 and (home / "o u t.png").exists(), done.stderr
    words = ["reproduce", "report", "--results", home / "re sults", "--output", home / "out <b>put"]
    done = python("-m", *words, cwd=home)
    assert done.returncode == 0, done.stderr
    page = (home / "out <b>put" / "report.html").read_text(encoding="utf-8")
    assert "<img src=x" not in page and "<b>put" not in page
    fault(
        "paths", "spaces, quotes and markup, from another working directory", 2, "work; escaped in the page"
    )
