"""From a picture of any size to the network's 224 x 224 pixels, and the same for its object boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

from opticam.data.photo import before_the_cut, resized_pixels

if TYPE_CHECKING:
    from torch import Tensor

SIDE = 224
TRANSFORMS = ("resize256+centercrop224", "squash224")


def transform_image(image: Image.Image, transform: str) -> Tensor:
    """The picture as float32 [3, 224, 224] in [0, 1], RGB.

    "resize256+centercrop224": short side to 256 (bilinear, antialiased), then the central 224 x 224 pixels,
    as in the authors' demo code (generate_opticam.py). "squash224": both sides to 224, the aspect ratio is not kept;
    Opti-CAM's Appendix A says no more than "resized to 224 x 224".
    """
    check_transform(transform)
    return resized_pixels(image.convert("RGB"), SIDE, "squash" if transform == "squash224" else "crop")


def transform_boxes(boxes: Tensor, size: tuple[int, int], transform: str) -> Tensor:
    """Boxes [n, 4] of a picture of `size` (width, height) in the frame of its transformed image, not clipped.

    The whole picture maps to the whole resized picture: coordinates scale by new side over old side. Returns
    float32 [n, 4]; with the crop, coordinates may be below 0 or above 224.
    """
    check_transform(transform)
    if transform == "squash224":
        return (boxes * _corners(SIDE / size[0], SIDE / size[1])).float()
    width, height = before_the_cut(size, SIDE)
    # torchvision's center_crop rounds the margin in this way.
    left, top = round((width - SIDE) / 2), round((height - SIDE) / 2)
    scaled = boxes * _corners(width / size[0], height / size[1])
    return (scaled - _corners(left, top)).float()


def legacy_boxes(boxes: Tensor, size: tuple[int, int], transform: str) -> Tensor:
    """Boxes [n, 4] as the published localisation figures used them: whole numbers, not clipped.

    The authors scaled boxes so that the short side becomes 224 and cropped 224 x 224 from the centre,
    although their images went through Resize(256) and CenterCrop(224). "squash224" has no such second
    geometry: there the transformed boxes are cut to whole numbers. Returns float32 [n, 4].
    Source: github.com/zphang/saliency_investigation, casme/tasks/imagenet/export_bboxes.py.
    """
    if check_transform(transform) == "squash224":
        return transform_boxes(boxes, size, transform).trunc()
    # In float64: a coordinate that is whole on paper must not fall below it by rounding.
    width, height = size
    scale = SIDE / min(size)
    left = (width * scale - SIDE) / 2 if width > height else 0.0
    top = (height * scale - SIDE) / 2 if width <= height else 0.0
    return (boxes.double() * scale - _corners(left, top)).trunc().float()


def check_transform(transform: str) -> str:
    """The transform's name; `ValueError` unless it is one of `TRANSFORMS`."""
    if transform not in TRANSFORMS:
        raise ValueError(f"transform must be one of {TRANSFORMS}, got {transform!r}")
    return transform


def _corners(x: float, y: float) -> Tensor:
    import torch  # here: command lines read this file's names before they load PyTorch

    return torch.tensor([x, y, x, y], dtype=torch.float64)
