"""Batches carry boxes only when asked, and keep them with their images."""

import pytest
import torch
from PIL import Image

from reproduce.workspace.sources import FolderSource, SampleSource, load_batch


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


def source(folder, boxes=True, limit=None):
    given = folder / "boxes.csv" if boxes else None
    return FolderSource(folder, folder / "labels.csv", given, "squash224", limit)


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
