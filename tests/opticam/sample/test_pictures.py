"""The sample data: reproducible pictures whose annotations agree with what is drawn."""

import hashlib

import numpy as np
import pytest
import torch

from opticam.sample import draw_sample, sample_set
from opticam.sample.pictures import SPLITS, VARIANTS

PER_CLASS = 3


@pytest.fixture(scope="module", params=VARIANTS)
def pair(request):
    """Train and test split of one variant, small."""
    return tuple(sample_set(request.param, split, per_class=PER_CLASS) for split in SPLITS)


def digests(images):
    return {hashlib.sha256(image.numpy().tobytes()).hexdigest() for image in images}


def test_drawn_again_is_the_same(pair):
    again = sample_set(pair[0].variant, "train", per_class=PER_CLASS)
    assert torch.equal(again.images, pair[0].images)
    assert all(torch.equal(a, b) for a, b in zip(again.boxes, pair[0].boxes, strict=True))


def test_one_picture_alone_equals_the_set(pair):
    for split in pair:
        for index in (0, 7, len(split) - 1):
            alone = draw_sample(split.variant, split.split, index)
            assert torch.equal(torch.from_numpy(alone.image), split.images[index])
            assert np.array_equal(alone.boxes, split.boxes[index].numpy())
            assert np.array_equal(alone.part_centres, split.part_centres[index].numpy())
            assert np.array_equal(alone.part_ids, split.part_ids[index].numpy())
            assert alone.label == split.labels[index]


def test_no_picture_occurs_twice_within_or_across_splits(pair):
    train, test = (digests(split.images) for split in pair)
    assert len(train) == len(pair[0]) and len(test) == len(pair[1])
    assert not train & test


def test_labels_are_balanced(pair):
    for split in pair:
        counts = torch.bincount(split.labels, minlength=len(split.class_names))
        assert counts.tolist() == [PER_CLASS] * len(split.class_names)


def test_boxes_lie_in_the_image_and_hold_their_parts(pair):
    for split in pair:
        height, width = split.images.shape[-2:]
        for boxes, others, centres in zip(split.boxes, split.other_boxes, split.part_centres, strict=True):
            assert len(boxes) >= 1
            x1, y1, x2, y2 = torch.cat([boxes, others]).T
            assert (x1 >= 0).all() and (y1 >= 0).all() and (x2 <= width).all() and (y2 <= height).all()
            assert (x1 < x2).all() and (y1 < y2).all()
            x, y = centres[:, None, 0], centres[:, None, 1]
            inside = (x >= boxes[:, 0]) & (x < boxes[:, 2]) & (y >= boxes[:, 1]) & (y < boxes[:, 3])
            assert inside.any(dim=1).all()


def test_every_picture_holds_all_parts_of_its_class_and_no_other(pair):
    for split in pair:
        for label, ids in zip(split.labels.tolist(), split.part_ids, strict=True):
            assert set(ids.tolist()) == set(split.class_parts[label])


def test_classes_differ_and_no_part_gives_a_class_away(pair):
    parts = [frozenset(ids) for ids in pair[0].class_parts]
    assert len(set(parts)) == len(parts)
    users = torch.bincount(torch.tensor([part for ids in parts for part in ids]))
    assert (users >= 2).all()


def test_items_are_float_images_and_class_ids(pair):
    image, label = pair[0][5]
    assert image.dtype == torch.float32 and image.shape == (3, 64, 64)
    assert image.min() >= 0 and image.max() <= 1
    assert torch.equal((image * 255).round().to(torch.uint8), pair[0].images[5])
    assert label == pair[0].labels[5].item()


def test_parts_are_painted_where_they_are_said_to_be():
    """Pictures of a class without noise would show it; over many noisy ones the mean colour does."""
    split = sample_set("fine", "train", per_class=20)
    first_beak = max(ids[3] for ids in split.class_parts) - 2
    reds = {first_beak: [], first_beak + 2: []}
    for image, centres, ids in zip(split.images, split.part_centres, split.part_ids, strict=True):
        x, y = centres[3].long().tolist()
        if ids[3].item() in reds:
            pixel = image[:, y, x].float()
            reds[ids[3].item()].append((pixel[0] - pixel[2]).item())
    assert np.mean(reds[first_beak]) > 40 > -40 > np.mean(reds[first_beak + 2])


def test_second_objects_are_a_minority_and_come_in_both_kinds():
    split = sample_set("many", "test", per_class=20)
    same = sum(len(boxes) == 2 for boxes in split.boxes)
    other = sum(len(boxes) == 1 for boxes in split.other_boxes)
    assert 0.05 * len(split) < same < 0.2 * len(split)
    assert 0.05 * len(split) < other < 0.2 * len(split)


def test_cached_set_is_read_back_unchanged(tmp_path, monkeypatch):
    drawn = sample_set("fine", "test", tmp_path, per_class=2)
    monkeypatch.setattr("opticam.sample.pictures._draw_tensors", lambda *_: pytest.fail("drew again"))
    read = sample_set("fine", "test", tmp_path, per_class=2)
    assert torch.equal(read.images, drawn.images) and torch.equal(read.labels, drawn.labels)
    for name in ("boxes", "part_centres", "part_ids", "other_boxes"):
        pairs = zip(getattr(read, name), getattr(drawn, name), strict=True)
        assert all(torch.equal(a, b) and a.shape == b.shape for a, b in pairs)


def test_other_sizes_keep_the_annotations_inside():
    picture = draw_sample("many", "train", 3, size=97)
    assert picture.image.shape == (3, 97, 97)
    assert picture.boxes.max() <= 97 and picture.part_centres.max() < 97


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("birds", "train"), "variant='birds' is not one of many, scenes, fine"),
        (("many", "val"), "split='val' is not one of train, test"),
    ],
)
def test_unknown_names_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        sample_set(*arguments)


def test_bad_counts_sizes_and_indices_are_refused():
    with pytest.raises(ValueError, match="per_class=0"):
        sample_set("many", "train", per_class=0)
    with pytest.raises(ValueError, match="size=8"):
        sample_set("many", "train", size=8, per_class=1)
    with pytest.raises(ValueError, match="index=-1"):
        draw_sample("many", "train", -1)
