import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dpnet.model.regions import RegionScheme


@given(height=st.integers(1, 7), width=st.integers(1, 7), name=st.sampled_from(["cells", "squares"]))
def test_every_region_is_the_plain_average_of_its_box(height, width, name):
    scheme = RegionScheme(name, x_norm="none")
    features = torch.randn(2, 5, height, width, dtype=torch.float64)
    regions = scheme(features)
    boxes = scheme.cell_boxes(height, width).tolist()
    assert regions.shape == (2, scheme.count(height, width), 5) and len(boxes) == regions.shape[1]
    for r, (x1, y1, x2, y2) in enumerate(boxes):
        expected = features[:, :, y1:y2, x1:x2].mean(dim=(2, 3))
        torch.testing.assert_close(regions[:, r], expected)


def test_squares_of_a_7x7_map_are_140_and_of_a_14x14_map_1015():
    assert RegionScheme("squares").count(7, 7) == 140
    assert RegionScheme("squares").count(14, 14) == 1015


def test_pixel_boxes_follow_the_strides_of_both_axes():
    scheme = RegionScheme("pyramid", (2,))
    boxes = scheme.boxes(3, 5, (96, 200))
    assert boxes.shape == (8, 4)
    assert boxes[0].tolist() == [0, 0, 80, 64]
    assert boxes[-1].tolist() == [120, 32, 200, 96]


def test_l2_regions_are_unit_vectors_and_none_keeps_magnitudes():
    features = 3 + 10 * torch.rand(2, 6, 4, 5)
    unit = RegionScheme("pyramid", (1, 3))(features)
    raw = RegionScheme("pyramid", (1, 3), x_norm="none")(features)
    torch.testing.assert_close(unit.norm(dim=-1), torch.ones(2, 26))
    torch.testing.assert_close(unit, nn.functional.normalize(raw, dim=-1))


def test_bfloat16_regions_are_normalised_in_float32():
    features = torch.rand(3, 515, 2, 3)
    half = RegionScheme()(features.bfloat16())
    assert half.dtype == torch.bfloat16
    reference = RegionScheme()(features.bfloat16().float())
    torch.testing.assert_close(half.float(), reference, rtol=2**-8, atol=0)


def test_float16_regions_are_normalised_where_their_square_does_not_fit():
    regions = RegionScheme()(torch.full((1, 2, 1, 3), 6e4, dtype=torch.float16))
    expected = torch.full((1, 3, 2), 0.5**0.5)
    torch.testing.assert_close(regions.float(), expected, rtol=torch.finfo(torch.float16).eps, atol=0)


@pytest.mark.parametrize(
    "arguments, message",
    [
        ({"name": "grid"}, "name is 'grid'"),
        ({"x_norm": "l1"}, "x_norm is 'l1'"),
        ({"name": "pyramid"}, "sizes is empty"),
        ({"name": "cells", "sizes": (1, 2)}, "only a pyramid lists sizes"),
        ({"name": "pyramid", "sizes": (0, 1)}, "at least 1"),
    ],
)
def test_a_scheme_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        RegionScheme(**arguments)


def test_windows_larger_than_the_map_and_features_of_the_wrong_rank_are_refused():
    with pytest.raises(ValueError, match="do not fit a feature map of 3 x 5"):
        RegionScheme("pyramid", (1, 4))(torch.rand(1, 2, 3, 5))
    with pytest.raises(ValueError, match="expected"):
        RegionScheme()(torch.rand(2, 3, 5))
