"""Batches carry boxes only when asked, and keep them with their images."""

import pandas as pd
import pytest
import torch
from evaluating import evaluate
from PIL import Image

from reproduce.saliency.requests import Request
from reproduce.saliency.stored import EXPERIMENT, discard_outdated
from reproduce.workspace.sources import FolderSource, PhotographSource, SampleSource, load_batch


@pytest.fixture
def folder(tmp_path):
    generator = torch.Generator().manual_seed(0)
    for name in ("a", "b"):
        pixels = torch.randint(0, 255, (40, 60, 3), dtype=torch.uint8, generator=generator)
        Image.fromarray(pixels.numpy()).save(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    (tmp_path / "labels.csv").write_text("file,label\na.png,3\nbroken.png,1\nb.png,4\n")
    (tmp_path / "boxes.csv").write_text("file,x1,y1,x2,y2\nb.png,30,10,60,40\nb.png,-6,0,12,20\n")
    return tmp_path


def source(folder, boxes=True, limit=None, **options):
    given = folder / "boxes.csv" if boxes else None
    return FolderSource(folder, folder / "labels.csv", given, "squash224", limit, **options)


def changed(path, old, new):
    """The file written anew, in place."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_labels_and_boxes_written_anew_in_place_are_others(folder):
    leading, look = source(folder, first=("b",)), source(folder, first=("b",), limit=1)
    assert (look.fingerprint, look.boxes_fingerprint) == (leading.fingerprint, leading.boxes_fingerprint)
    first, unboxed = source(folder), source(folder, boxes=False)
    assert leading.fingerprint != first.fingerprint == unboxed.fingerprint and not unboxed.boxes_fingerprint
    changed(folder / "labels.csv", "a.png,3", "a.png,2")
    relabelled = source(folder)
    assert relabelled.fingerprint != first.fingerprint
    assert relabelled.boxes_fingerprint == first.boxes_fingerprint
    changed(folder / "labels.csv", "a.png,2", "pictures/a.png,3")  # the same classes, written otherwise
    assert source(folder).fingerprint == first.fingerprint
    changed(folder / "boxes.csv", "30,10", "31,10")
    assert source(folder).fingerprint == first.fingerprint
    assert source(folder).boxes_fingerprint != first.boxes_fingerprint


def test_rows_of_other_labels_are_measured_anew(folder, make_workspace):
    """Labels that are repaired in place give the rows of a store that never saw the wrong ones."""
    request = Request("tiny", "Fake-CAM")
    changed(folder / "labels.csv", "b.png,4", "b.png,0")
    wrong = make_workspace()
    wrong.pictures = source(folder)
    evaluate(wrong, [request])
    wrong, right = make_workspace(), make_workspace()  # as the next process opens them
    right.results = wrong.results / "right"
    changed(folder / "labels.csv", "b.png,0", "b.png,1")
    changed(folder / "labels.csv", "a.png,3", "a.png,2")
    for given in (wrong, right):
        given.pictures = source(folder)
        discard_outdated(given, [request])
        evaluate(given, [request])
    found, expected = (
        given.store.frame("test", EXPERIMENT, metric=["AD", "AG", "AI"]) for given in (wrong, right)
    )
    pd.testing.assert_frame_equal(found, expected)
    assert len(found) == 6


def test_a_first_look_at_photographs_is_of_the_same_pictures():
    assert PhotographSource(2).fingerprint == PhotographSource(None).fingerprint
    assert PhotographSource(2).names == PhotographSource(None).names[:2]


def test_boxes_follow_the_image_through_the_transform(folder):
    batch, skipped = load_batch(source(folder), range(3), with_boxes=True)
    assert batch.names == ["a", "b"]
    assert list(skipped) == ["broken"]
    assert [len(boxes) for boxes in batch.boxes["paper"]] == [0, 2]
    expected = torch.tensor([[112, 56, 224, 224], [0, 0, 44.8, 112]])
    torch.testing.assert_close(batch.boxes["paper"][1], expected)
    expected = torch.tensor([[112.0, 56, 224, 224], [-22, 0, 44, 112]])
    torch.testing.assert_close(batch.boxes["legacy"][1], expected)


def test_a_part_of_a_batch_keeps_images_labels_and_boxes_together(folder):
    batch, _ = load_batch(source(folder), range(3), with_boxes=True)
    part = batch.part([1])
    assert part.names == ["b"] and part.labels.tolist() == [4]
    assert torch.equal(part.images[0], batch.images[1])
    assert len(part.boxes["paper"][0]) == 2


def test_boxes_are_read_only_when_asked_for(folder):
    batch, _ = load_batch(source(folder), range(3))
    assert batch.boxes == {}
    assert not source(folder, boxes=False).has_boxes


def test_nothing_readable_gives_no_batch(folder):
    batch, skipped = load_batch(source(folder), range(1, 2))
    assert batch is None and "broken" in skipped


def test_sample_pictures_have_boxes_inside_the_picture(tmp_path):
    sample = SampleSource(tmp_path, limit=5)
    for index in range(5):
        boxes = sample.boxes(index, "paper")
        assert len(boxes) >= 1 and boxes.min() >= 0 and boxes.max() <= 64
        assert torch.equal(boxes, sample.boxes(index, "legacy"))
