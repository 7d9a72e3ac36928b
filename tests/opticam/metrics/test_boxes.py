import numpy as np
import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st

from opticam.metrics import box_iou, legacy_union_mask, pack_boxes, union_mask

side = st.integers(-9, 20)


def ordered(a, b, c, d):
    return [min(a, c), min(b, d), max(a, c), max(b, d)]


box = st.builds(ordered, side, side, side, side)


@given(st.lists(st.tuples(box, st.lists(box, min_size=1, max_size=3)), min_size=1, max_size=4))
def test_iou_matches_torchvision(images):
    predicted = torch.tensor([image[0] for image in images], dtype=torch.float32)
    packed = pack_boxes([torch.tensor(image[1]) for image in images], len(images))
    overlaps = box_iou(predicted, packed)
    for index, (_, boxes) in enumerate(images):
        expected = torchvision.ops.box_iou(predicted[index : index + 1], torch.tensor(boxes).float())[0]
        torch.testing.assert_close(overlaps[index, : len(boxes)], expected.nan_to_num(0.0))
        assert (overlaps[index, len(boxes) :] == 0).all()


@given(st.lists(box, min_size=1, max_size=4))
@settings(max_examples=200)
def test_masks_match_numpy_slices(boxes):
    """The correct mask clips; the legacy mask is what NumPy makes of [x1:x2, y1:y2] with negative ends."""
    height, width = 11, 13
    correct, legacy = np.zeros((height, width), bool), np.zeros((height, width), bool)
    for x1, y1, x2, y2 in boxes:
        correct[max(y1, 0) : max(y2, 0), max(x1, 0) : max(x2, 0)] = True
        legacy[x1:x2, y1:y2] = True
    packed = pack_boxes([torch.tensor(boxes)], 1)
    np.testing.assert_array_equal(union_mask(packed, height, width)[0], correct)
    np.testing.assert_array_equal(legacy_union_mask(packed, height, width)[0], legacy)


def test_a_box_covers_the_pixels_whose_centre_it_holds():
    mask = union_mask(pack_boxes([torch.tensor([[0.6, 1.5, 2.4, 9.0]])], 1), 3, 4)[0]
    assert mask.int().tolist() == [[0, 0, 0, 0], [0, 1, 0, 0], [0, 1, 0, 0]]


def test_a_centre_at_the_begin_of_a_box_is_inside_and_one_at_its_end_outside():
    mask = union_mask(pack_boxes([torch.tensor([[0.5, 1.5, 2.5, 3.5]])], 1), 5, 4)[0]
    assert mask.nonzero().tolist() == [[1, 0], [1, 1], [2, 0], [2, 1]]


def test_the_authors_mask_is_of_whole_numbers():
    """int() of each end, towards zero, before NumPy slices."""
    box, expected = [-4.7, 1.9, 5.6, -2.3], np.zeros((7, 9), bool)
    x1, y1, x2, y2 = map(int, box)
    expected[x1:x2, y1:y2] = True
    assert expected.any()
    np.testing.assert_array_equal(legacy_union_mask(torch.tensor([[box]]), 7, 9)[0], expected)


@pytest.mark.parametrize(
    ("boxes", "batch", "message"),
    [
        ([torch.empty(0, 4), torch.ones(1, 4)], 2, r"none for images \[0\]"),
        ([torch.ones(1, 4)], 2, "one entry per image, 2, got 1"),
        ([torch.ones(1, 4), torch.tensor([[0, torch.nan, 2, 2]])], 2, r"none for images \[1\]"),
        ([torch.tensor([[5, 0, 3, 9]])], 1, "x1 <= x2"),
        (torch.ones(2, 4), 2, "a tensor"),
    ],
)
def test_bad_boxes_are_refused(boxes, batch, message):
    with pytest.raises(ValueError, match=message):
        pack_boxes(boxes, batch)
