import numpy as np
import pytest
import torch
from scipy import ndimage

from opticam.masking import ops
from opticam.metrics.components import component_boxes, labelled_boxes


def boxes_of(masks):
    """Boxes [B,4] of the largest component of each mask."""
    return component_boxes(masks.float(), torch.zeros(len(masks), 1))[:, 0]


def box_by_regions(mask):
    """One mask at a time, through scipy's own list of object slices."""
    labels, count = ndimage.label(mask)
    if count == 0:
        return [0, 0, 0, 0]
    sizes = ndimage.sum_labels(mask, labels, index=range(1, count + 1))
    rows, columns = ndimage.find_objects(labels)[int(np.argmax(sizes))]
    return [columns.start, rows.start, columns.stop, rows.stop]


@pytest.mark.parametrize("density", [0.02, 0.3, 0.55, 0.8])
@pytest.mark.parametrize("threads", [1, 2])
def test_random_masks_match_scipy(density, threads):
    masks = np.random.default_rng(int(density * 100)).random((23, 19, 27)) < density
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        boxes = boxes_of(torch.from_numpy(masks))
    finally:
        torch.set_num_threads(before)
    assert boxes.tolist() == [box_by_regions(mask) for mask in masks]


def test_diagonal_neighbours_are_apart_and_images_do_not_join():
    masks = torch.zeros(3, 4, 4, dtype=torch.bool)
    masks[0, 0, 0] = masks[0, 1, 1] = masks[0, 1, 2] = True
    masks[1] = True
    assert boxes_of(masks).tolist() == [[1, 1, 3, 2], [0, 0, 4, 4], [0, 0, 0, 0]]


def test_the_first_of_equal_components_wins():
    mask = torch.tensor([[[0, 1, 0, 1], [0, 0, 0, 0], [1, 0, 0, 0]]], dtype=torch.bool)
    assert boxes_of(mask).tolist() == [[1, 0, 2, 1]]


def test_no_map_gives_no_box():
    assert boxes_of(torch.zeros(0, 5, 5, dtype=torch.bool)).shape == (0, 4)


@pytest.mark.parametrize("shape", [(7, 1, 13), (7, 13, 1), (5, 31, 26)], ids=str)
@pytest.mark.parametrize("levels", [3, 9, 1000])
def test_one_sweep_gives_the_boxes_of_every_threshold(shape, levels):
    """Few levels make ties of value and of size."""
    rng = np.random.default_rng(levels)
    maps = np.round(rng.random(shape) * levels) / levels
    thresholds = np.sort(rng.random((len(maps), 6)), axis=1)
    thresholds[:, 0] = 0  # equal to the lowest level
    boxes = component_boxes(torch.from_numpy(maps), torch.from_numpy(thresholds))
    expected = [[box_by_regions(a > t) for t in row] for a, row in zip(maps, thresholds)]
    assert boxes.tolist() == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_sweep_and_labelling_agree_on_smooth_maps(dtype):
    if ops.CPP_REASON:
        pytest.skip(ops.CPP_REASON)
    noise = np.random.default_rng(1).random((6, 48, 61))
    maps = torch.from_numpy(ndimage.gaussian_filter(noise, (0, 4, 4))).to(dtype)
    thresholds = torch.quantile(maps.flatten(1), torch.linspace(0, 1, 12, dtype=dtype), dim=1).T.contiguous()
    swept = torch.ops.opticam.component_boxes(maps, thresholds)
    assert torch.equal(swept, labelled_boxes(maps, thresholds))
    assert torch.equal(swept[:, -1], torch.zeros(6, 4, dtype=torch.int64))  # nothing is above the maximum
    turned = maps.transpose(1, 2)  # not contiguous
    assert torch.equal(component_boxes(turned, thresholds), labelled_boxes(turned, thresholds))


def test_components_are_of_the_maps_own_digits():
    maps = torch.tensor([[[1.0, 1.0 + 1e-12, 1.0]]], dtype=torch.float64).requires_grad_()
    boxes = component_boxes(maps, torch.tensor([[1.0 + 5e-13]], dtype=torch.float64))
    assert boxes.tolist() == [[[1, 0, 2, 1]]]
