import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision import transforms

from opticam.data.imagenet_transforms import TRANSFORMS, legacy_boxes, transform_boxes, transform_image

side = st.integers(60, 900)


def marked_picture(width, height, box):
    """Black with a white box."""
    pixels = np.zeros((height, width, 3), np.uint8)
    x1, y1, x2, y2 = box
    pixels[y1:y2, x1:x2] = 255
    return Image.fromarray(pixels)


@pytest.mark.parametrize("size", [(500, 375), (375, 500), (256, 256), (231, 702)])
def test_image_is_torchvisions_composition(size):
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    compose = transforms.Compose([transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()])
    assert torch.equal(transform_image(picture, TRANSFORMS[0]), compose(picture))
    squash = transforms.Compose([transforms.Resize((224, 224)), transforms.ToTensor()])
    assert torch.equal(transform_image(picture, TRANSFORMS[1]), squash(picture))


share = st.floats(0, 0.5)


@settings(max_examples=25)
@given(side, side, st.sampled_from(TRANSFORMS), share, share)
@example(60, 188, TRANSFORMS[0], 0.0, 6 / 188)  # the crop leaves one row of the box's blurred edge
def test_boxes_move_with_the_pixels(width, height, transform, left, top):
    """Where the transformed white box is brighter than half lies where the transformed box says, to a pixel.

    An edge pixel is as bright as its row's share of the box times its column's. So where the crop leaves no pixel
    that is all white, what is brighter than half is smaller than the box, and only has to lie inside it.
    """
    x1, y1 = int(left * width), int(top * height)
    box = (x1, y1, x1 + width // 3, y1 + height // 3)
    brightness = transform_image(marked_picture(width, height, box), transform)[0]
    moved = transform_boxes(torch.tensor([box]), (width, height), transform)[0].clamp(0, 224)
    rows, columns = (brightness > 0.5).nonzero(as_tuple=True)
    if not len(rows):
        assert (moved[2:] - moved[:2]).min() <= 1.0
        return
    found = torch.stack([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
    assert torch.cat([moved[:2] - found[:2], found[2:] - moved[2:]]).max() <= 1.0
    if brightness.max() > 0.99:
        assert (moved - found).abs().max() <= 1.0


@given(side, side, st.lists(st.integers(0, 900), min_size=4, max_size=4))
def test_legacy_boxes_follow_the_authors_arithmetic(width, height, corners):
    scale = 224 / min(width, height)
    left = (width * scale - 224) / 2 if width > height else 0
    top = 0 if width > height else (height * scale - 224) / 2
    expected = [int(scale * end - cut) for end, cut in zip(corners, (left, top, left, top))]
    assert legacy_boxes(torch.tensor([corners]), (width, height), TRANSFORMS[0])[0].tolist() == expected


def test_unknown_transforms_are_refused():
    with pytest.raises(ValueError, match="transform must be one of"):
        transform_boxes(torch.ones(1, 4), (300, 300), "crop")
