import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

from dpnet.explain.comparison import ClassParts
from dpnet.explain.plotting import (
    constraint_comparison,
    draw_boxes,
    logit_steps,
    part_gallery,
    photo_explanation,
    save_figure,
)


def boxes_on(axis):
    outlines = [patch for patch in axis.patches if isinstance(patch, Rectangle) and not patch.get_fill()]
    return [(*patch.get_xy(), patch.get_width(), patch.get_height()) for patch in outlines]


def test_a_photo_explanation_shows_every_part_with_its_box_and_its_share():
    boxes = torch.tensor([[0.0, 0, 10, 12], [20, 6, 30, 18], [5, 5, 25, 25]])
    shares = torch.tensor([1.5, 0.25, -0.5])
    figure = photo_explanation(
        torch.rand(3, 30, 40),
        *torch.rand(2, 30, 40),
        torch.rand(3, 30, 40),
        boxes,
        shares,
        list("abc"),
        "casino",
        bias=-0.25,
        logit=2.0,
    )
    photo, exact, dense, *parts, bars = figure.axes
    assert len(boxes_on(photo)) == 3 and len(parts) == 3
    assert "exact" in exact.get_title() and "dense" in dense.get_title()
    drawn = [(0, 0, 10, 12), (20, 6, 10, 12), (5, 5, 20, 20)]
    assert boxes_on(photo) == drawn and [boxes_on(axis) for axis in parts] == [[box] for box in drawn]
    assert [axis.get_title() for axis in parts] == ["a", "b", "c"]
    assert [bar.get_width() for bar in bars.patches] == [-0.25, 1.5, 0.25, -0.5, 1.0, 2.0]
    assert [bar.get_x() for bar in bars.patches] == [0, -0.25, 1.25, 1.5, 1.0, 0]
    labels = [label.get_text() for label in bars.get_yticklabels()]
    assert labels == ["bias", "a", "b", "c", "all other parts", "logit"]
    assert figure.get_suptitle() == "casino"


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=30), st.floats(-5, 5), st.integers(1, 30))
def test_bias_and_parts_sum_to_the_logit(added, bias, shown):
    logit = bias + math.fsum(added)
    steps = logit_steps(bias, torch.tensor(added[:shown], dtype=torch.float64), added[:shown], logit)
    assert math.fsum(value for _, value in steps) == pytest.approx(logit, abs=1e-12)
    assert steps[-1][1] == pytest.approx(math.fsum(added[shown:]), abs=1e-12)


def test_a_gallery_has_a_row_a_part_and_a_column_an_image():
    images = [[torch.rand(3, 8, 8) for _ in range(4)] for _ in range(2)]
    figure = part_gallery(
        images, torch.tensor([0.0, 0, 4, 4]).repeat(2, 4, 1), torch.rand(2, 4), ["p0", "p1"]
    )
    assert len(figure.axes) == 8 and all(len(boxes_on(axis)) == 1 for axis in figure.axes)
    assert [figure.axes[0].get_ylabel(), figure.axes[4].get_ylabel()] == ["p0", "p1"]


@given(st.integers(1, 12), st.integers(1, 224), st.integers(1, 224))
def test_every_row_of_a_gallery_draws_its_region_as_it_is(rows, width, height):
    boxes = torch.tensor([3.0, 5.0, 3.0 + width, 5.0 + height]).expand(rows, 1, 4)
    figure = part_gallery([[torch.zeros(3, 230, 230)]] * rows, boxes, torch.ones(rows, 1), ["p"] * rows)
    assert [boxes_on(axis) for axis in figure.axes] == [[(3, 5, width, height)]] * rows


def test_parts_of_one_region_are_told_apart_by_lines_around_lines():
    axis = Figure().subplots()
    one, other = torch.tensor([2.0, 2, 9, 9]), torch.tensor([2.0, 2, 9, 12])
    draw_boxes(axis, torch.stack([one, other, one, one]))
    assert boxes_on(axis) == [(2, 2, 7, 7), (2, 2, 7, 10), (2, 2, 7, 7), (2, 2, 7, 7)]
    first, alone, second, third = (outline.get_linewidth() for outline in axis.patches)
    assert first - second == pytest.approx(second - third) and second > third == alone > 0
    assert len({outline.get_edgecolor() for outline in axis.patches}) == 4


def test_the_constraint_comparison_prints_the_figures_of_each_setting():
    def parts(value):
        return ClassParts(torch.arange(2), torch.rand(3, 2, 4).cumsum(-1) * 5, {"box_iou": value})

    settings = {"none": parts(0.75), "orthogonal": parts(0.125)}
    figure = constraint_comparison(torch.rand(3, 3, 16, 16), settings, "casino")
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert texts == ["box iou: 0.75", "box iou: 0.12"]
    assert sum(len(boxes_on(axis)) for axis in figure.axes) == 2 * 3 * 2


@pytest.mark.parametrize("suffix", ["png", "pdf"])
def test_figures_are_written_as_png_and_pdf(tmp_path, suffix):
    images = [[torch.rand(3, 8, 8)]]
    figure = part_gallery(images, torch.tensor([[[0.0, 0, 4, 4]]]), torch.rand(1, 1), ["p0"])
    paths = {path.suffix: path for path in save_figure(figure, tmp_path / "new" / "gallery.v1")}
    path = paths[f".{suffix}"]
    assert path.name == f"gallery.v1.{suffix}"
    if suffix == "png":
        assert np.asarray(Image.open(path)).std() > 1
    else:
        assert path.read_bytes().startswith(b"%PDF")
