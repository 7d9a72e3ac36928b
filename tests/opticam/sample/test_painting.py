"""Outlines, textures and painted parts against closed forms."""

import numpy as np
import pytest

from opticam.sample.catalogue import class_part_sets, part_types
from opticam.sample.painting import Frame, PartType, Pose, paint, photograph, union_box
from opticam.sample.shapes import SHAPES
from opticam.sample.textures import PATTERNS, background, rgb, smooth_noise

AREAS = {
    "disc": np.pi,
    "square": 1.7**2,
    "triangle": 0.75 * np.sqrt(3),
    "star": 5 * 0.45 * np.sin(np.pi / 5),
    "ring": np.pi * (1 - 0.25),
    "cross": 2 * 2 * 0.7 - 0.7**2,
    "flower": np.pi * (0.75**2 + 0.25**2 / 2),
    "bar": 2 * 0.7,
    "half_disc": np.pi / 2 + 0.2 * np.sqrt(1 - 0.04) + np.arcsin(0.2),
}


def grid(count=601, half=1.1):
    axis = np.linspace(-half, half, count)
    return np.meshgrid(axis, axis)


@pytest.mark.parametrize("name", AREAS)
def test_outline_encloses_its_area(name):
    u, v = grid()
    area = (SHAPES[name](u, v) > 0).mean() * 2.2**2
    assert area == pytest.approx(AREAS[name], rel=0.02)


def test_crescent_is_the_disc_without_the_shifted_disc():
    u, v = grid(101)
    expected = (u**2 + v**2 < 1) & ((u - 0.55) ** 2 + v**2 > 0.7**2)
    assert np.array_equal(SHAPES["crescent"](u, v) > 0, expected)


@pytest.mark.parametrize("name", SHAPES)
def test_outlines_stay_in_the_window_that_is_painted(name):
    u, v = grid(201, 3.0)
    inside = SHAPES[name](u, v) > 0
    assert np.hypot(u, v)[inside].max() < 1.5


@pytest.mark.parametrize("name", PATTERNS)
def test_patterns_stay_between_their_two_tones(name):
    values = PATTERNS[name](*grid(99))
    assert values.min() >= 0 and values.max() <= 1
    assert name == "plain" or values.max() - values.min() > 0.9


def test_painted_disc_has_its_area_place_and_box():
    image = np.zeros((60, 60, 3), dtype=np.float32)
    red = PartType("disc", "plain", hue=0.0, tone=0.5)
    box = paint(image, red, Pose(x=21.0, y=33.0, radius=10.0), np.random.default_rng(0))
    cover = image[..., 0] / image.max()
    assert cover.sum() == pytest.approx(np.pi * 100, rel=0.02)
    rows, columns = np.indices(cover.shape) + 0.5
    assert (cover * columns).sum() / cover.sum() == pytest.approx(21.0, abs=0.05)
    assert (cover * rows).sum() / cover.sum() == pytest.approx(33.0, abs=0.05)
    assert box.tolist() == [11, 23, 31, 43]


def test_part_outside_the_image_paints_nothing():
    image = np.full((32, 32, 3), 0.5, dtype=np.float32)
    box = paint(image, PartType("star", "dots", 0.5, 0.9), Pose(200.0, 10.0, 8.0), np.random.default_rng(0))
    assert (image == 0.5).all()
    assert box[2] <= box[0] or box[3] <= box[1]


def test_mirrored_frame_paints_the_mirror_image():
    """A chiral set of parts in a mirrored frame is the flipped picture of the same set."""
    pictures = []
    for mirrored in (False, True):
        image = np.zeros((64, 64, 3), dtype=np.float32)
        frame = Frame(32.0, 32.0, 20.0, 0.0, mirrored)
        for shape, u, v, angle in (("crescent", 0.5, -0.4, 0.7), ("triangle", -0.3, 0.5, -0.4)):
            paint(
                image,
                PartType(shape, "stripes", 0.4, 0.9),
                frame.pose(u, v, 0.4, angle),
                np.random.default_rng(1),
            )
        pictures.append(image)
    assert np.allclose(pictures[0], pictures[1][:, ::-1], atol=1e-5)


def test_turned_frame_carries_parts_round_its_centre():
    pose = Frame(10.0, 20.0, 5.0, np.pi / 2).pose(1.0, 0.0, 0.4, angle=0.3)
    assert (pose.x, pose.y) == pytest.approx((10.0, 25.0))
    assert (pose.radius, pose.angle) == pytest.approx((2.0, np.pi / 2 + 0.3))


def test_union_box_ignores_empty_boxes():
    boxes = [np.array(b) for b in ([3, 4, 9, 8], [0, 0, 0, 0], [5, 2, 7, 20])]
    assert union_box(boxes).tolist() == [3, 2, 9, 20]


def test_photograph_gives_bytes_with_bounded_noise():
    grey = np.full((40, 40, 3), 0.5, dtype=np.float32)
    picture = photograph(grey, np.random.default_rng(3))
    assert picture.dtype == np.uint8 and picture.shape == (3, 40, 40)
    assert 0.5 < picture.std() < 0.08 * 255
    assert abs(picture.mean() / 255 - 0.5) <= 0.11


def test_backgrounds_are_colours_and_noise_interpolates():
    rng = np.random.default_rng(0)
    for _ in range(20):
        picture = background(rng, 33)
        assert picture.shape == (33, 33, 3) and picture.dtype == np.float32
        assert picture.min() >= -1e-6 and picture.max() <= 1 + 1e-6
    field = smooth_noise(rng, 30, 3)
    middle = field[:, [12, 15, 18]]  # one cell is ten pixels: within it the field is linear along a row
    assert np.allclose(middle[:, 1], middle[:, [0, 2]].mean(axis=1), atol=1e-6)


def test_rgb_wraps_hues_and_clips_the_rest():
    assert np.allclose(rgb(1.0, 1.0, 1.0), [1, 0, 0])
    assert np.allclose(rgb(-1 / 3, 2.0, 0.5), [0, 0, 0.5])


def test_part_sets_keep_their_promises_and_refuse_the_impossible():
    sets = class_part_sets(20, 18, 3, shared=1)
    assert len(sets) == 20 and all(len(set(ids)) == 3 for ids in sets)
    assert all(len(set(a) & set(b)) <= 1 for i, a in enumerate(sets) for b in sets[:i])
    with pytest.raises(ValueError, match="classes=4"):
        class_part_sets(4, 4, 3, shared=1)
    assert len({*part_types(0, 18), *part_types(18, 16)}) == 34
