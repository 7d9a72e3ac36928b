import numpy as np
import pytest
import torch
from scipy import ndimage

from opticam.metrics import box_accuracy, box_overlaps, whole_image_map


def overlap_by_loops(saliency_map, boxes, threshold, lost):
    labels, count = ndimage.label((saliency_map - saliency_map.min()) / np.ptp(saliency_map) > threshold)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    rows, columns = ndimage.find_objects(labels)[int(sizes.argmax())]
    x1, y1, x2, y2 = columns.start, rows.start, columns.stop - lost, rows.stop - lost
    best = 0.0
    for a, b, c, d in boxes:
        common = max(0, min(x2, c) - max(x1, a)) * max(0, min(y2, d) - max(y1, b))
        both = (x2 - x1) * (y2 - y1) + (c - a) * (d - b) - common
        best = max(best, common / both if both else 0.0)
    return best


@pytest.mark.parametrize(("protocol", "lost"), [("paper", 0), ("legacy", 1)])
def test_overlaps_match_plain_loops(protocol, lost):
    rng = np.random.default_rng(8)
    maps = ndimage.gaussian_filter(rng.random((6, 18, 23)), (0, 2, 2)).astype(np.float32)
    boxes = [torch.tensor([[2, 3, 12, 14], [10, 1, 20, 9]]), torch.tensor([[-4, 0, 9, 30]])] * 3
    thresholds = (0.0, 0.3, 0.62, 0.9)
    overlaps = box_overlaps(torch.from_numpy(maps), boxes, protocol, thresholds)
    expected = [
        [overlap_by_loops(saliency_map, image.tolist(), threshold, lost) for threshold in thresholds]
        for saliency_map, image in zip(maps, boxes)
    ]
    np.testing.assert_allclose(overlaps, expected, atol=1e-6)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_meets_the_thresholds_as_they_are(dtype):
    maps = (torch.arange(33 * 31) / (33 * 31)).reshape(1, 33, 31).to(dtype)
    boxes = [torch.tensor([[2, 3, 12, 14]])]
    torch.testing.assert_close(box_overlaps(maps, boxes), box_overlaps(maps.double(), boxes).float())


def test_accuracy_takes_the_best_threshold_of_each_delta():
    """delta 0.3: 3 of 4 at the second threshold; 0.5: 2 of 4 at either; 0.7: 2 of 4 at the first."""
    overlaps = torch.tensor([[0.9, 0.4], [0.8, 0.6], [0.1, 0.55], [0.0, 0.0]])
    assert box_accuracy(overlaps) == pytest.approx(100 * (3 / 4 + 2 / 4 + 2 / 4) / 3)


def test_by_default_the_thresholds_are_the_papers_20():
    """Of a ramp over 42 columns those above k / 20 are left, of a box around them all."""
    ramp = torch.arange(42.0).div(41).expand(1, 10, 42)
    overlaps = box_overlaps(ramp, [torch.tensor([[0, 0, 42, 10]])])
    expected = [(41 - int(k * 41 / 20)) / 42 for k in range(20)]
    torch.testing.assert_close(overlaps[0], torch.tensor(expected))


def test_trivial_maps():
    boxes = [torch.tensor([[0, 0, 12, 10]])] * 2
    assert (box_overlaps(whole_image_map(2, 10, 12), boxes) == 1).all()
    assert (box_overlaps(torch.full((2, 10, 12), 0.4), boxes) == 0).all()
    assert (box_overlaps(torch.full((2, 10, 12), 0.4), boxes, "legacy") == 0).all()


@pytest.mark.parametrize("thresholds", [(), (0.5, 0.2), (0.2, 0.2), (0.0, 1.0), (-0.1,)])
def test_bad_thresholds_are_refused(thresholds):
    with pytest.raises(ValueError, match="thresholds must rise"):
        box_overlaps(torch.rand(1, 4, 4), [torch.ones(1, 4)], thresholds=thresholds)


def test_an_overlap_of_delta_counts_and_the_deltas_are_maxboxaccv2s():
    """0.3, 0.5 and 0.7 (Choe et al., CVPR 2020): each overlap passes as many of them as lie at or below it."""
    assert box_accuracy(torch.tensor([[0.5]]), deltas=(0.5,)) == 100
    hits = [box_accuracy(torch.full((1, 1), overlap)) for overlap in (0.29, 0.31, 0.49, 0.51, 0.69, 0.71)]
    assert hits == pytest.approx([0, 100 / 3, 100 / 3, 200 / 3, 200 / 3, 100])


def test_the_authors_boxes_are_whole_numbers_and_the_papers_are_not():
    maps = torch.rand(1, 9, 8, generator=torch.Generator().manual_seed(0))
    broken, whole = (torch.tensor([box]) for box in ([-1.7, 1.9, 5.6, 7.8], [-1.0, 1.0, 5.0, 7.0]))
    found, expected = (box_overlaps(maps, [boxes], "legacy") for boxes in (broken, whole))
    assert torch.equal(found, expected) and found.max() > 0
    assert not torch.equal(box_overlaps(maps, [broken]), box_overlaps(maps, [whole]))


def test_another_protocol_is_refused():
    with pytest.raises(ValueError, match=r"^protocol must be one of"):
        box_overlaps(torch.rand(1, 4, 4), [torch.ones(1, 4)], "slides")
