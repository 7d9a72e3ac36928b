"""`prepare imagenet` on real pictures in class folders, and the run that follows; labels in another order are told."""

import os
from pathlib import Path

import pandas as pd
import pytest
import torch

from opticam.data.imagenet import ImageNetSet
from opticam.data.imagenet_boxes import read_boxes
from reproduce.__main__ import main
from reproduce.saliency.explained_batch import View
from reproduce.saliency.label_check import LabelCheck
from reproduce.workspace.profile import first_pictures
from reproduce.workspace.sources import Batch

DATA = Path(os.environ.get("OPTICAM_DATA", ""))
real = pytest.mark.skipif(not (DATA / "imagenet_val").is_dir(), reason="OPTICAM_DATA names no real pictures")


@real
def test_class_folders_of_real_pictures_become_labels_and_boxes(tmp_path, capsys):
    given = pd.read_csv(DATA / "imagenet_val" / "labels.csv")
    synsets = [f"n{10_000_000 + 7 * rank:08d}" for rank in range(1000)]
    for file, label in given.iloc[:20, :2].itertuples(index=False):
        folder = tmp_path / "val" / synsets[label]
        folder.mkdir(parents=True, exist_ok=True)
        picture = next((DATA / "imagenet_val" / "images").rglob(f"{Path(file).stem}.*"))
        (folder / picture.name).symlink_to(picture)
    (tmp_path / "synsets.txt").write_text("\n".join(synsets))
    words = ["--val", tmp_path / "val", "--synsets", tmp_path / "synsets.txt", "--output", tmp_path / "out"]
    words += ["--boxes", DATA / "imagenet_val" / "boxes.csv"]
    assert main(["prepare", "imagenet", *map(str, words)]) == 0
    said = capsys.readouterr().out
    assert "20 pictures of" in said and "not the validation set whole: 20 pictures instead of 50,000" in said
    made = ImageNetSet(tmp_path / "val", tmp_path / "out" / "labels.csv", tmp_path / "out" / "boxes.csv")
    expected = {Path(str(file)).stem: label for file, label in given.iloc[:20, :2].itertuples(index=False)}
    assert dict(zip(made.names, made.labels.tolist())) == expected
    own, theirs = read_boxes(tmp_path / "out" / "boxes.csv"), read_boxes(DATA / "imagenet_val" / "boxes.csv")
    for name in made.names:
        torch.testing.assert_close(own[name].boxes, theirs[name].boxes)
        assert own[name].size == theirs[name].size


def test_a_wrong_folder_is_named(tmp_path, capsys):
    words = ["prepare", "imagenet", "--val", str(tmp_path / "none"), "--output", str(tmp_path / "out")]
    assert main(words) == 2
    assert "images: no folder" in capsys.readouterr().err


def view(right: int, count: int, classes: int) -> View:
    labels = torch.arange(count) % classes
    predicted = torch.where(torch.arange(count) < right, labels, (labels + 1) % classes)
    logits = torch.nn.functional.one_hot(predicted, classes).double()
    names = [str(i) for i in range(count)]
    return View(None, Batch(names, torch.zeros(count, 3, 1, 1), labels), logits)


@pytest.mark.parametrize(("right", "count", "classes", "told"), [
    (0, 40, 1000, True), (1, 40, 1000, True), (8, 40, 1000, False), (30, 40, 1000, False),
    (0, 10, 1000, False), (8, 40, 4, True), (25, 40, 4, False), (20, 40, 2, False),
])  # fmt: skip
def test_a_network_that_guesses_is_told_with_the_likely_cause(recwarn, right, count, classes, told):
    check = LabelCheck("tiny")
    check.see(view(right, count, classes))
    check.see(view(right, count, classes)) if told else None
    found = [str(warning.message) for warning in recwarn if "labels: tiny" in str(warning.message)]
    assert len(found) == told
    assert not told or "sorted WordNet ids" in found[0]


def test_the_pictures_of_the_ablations_are_one_of_each_class():
    names = first_pictures("imagenet_ablations.txt")
    assert len(names) == len(set(names)) == 1000
    assert all(name.startswith("ILSVRC2012_val_") and 1 <= int(name[15:]) <= 50_000 for name in names)
    labels = DATA / "imagenet_boxes" / "class_labels.txt"
    if labels.is_file():
        table = pd.read_csv(labels, names=["file", "label"])
        classes = dict(zip(table["file"].str[4:-5], table["label"]))
        assert sorted(classes[name] for name in names) == list(range(1000))
