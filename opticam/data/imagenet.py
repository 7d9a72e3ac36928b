"""ImageNet validation pictures, or any folder of them, with class ids and object boxes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from opticam.data.imagenet_boxes import ObjectBoxes, read_boxes
from opticam.data.imagenet_labels import read_labels
from opticam.data.imagenet_transforms import (
    SIDE,
    TRANSFORMS,
    check_transform,
    legacy_boxes,
    transform_boxes,
    transform_image,
)
from opticam.data.pictures import open_picture

SUFFIXES = (".jpeg", ".jpg", ".png")


class CorruptImageError(ValueError):
    """A picture that cannot be decoded or scaled: `path` is its file, `reason` goes into the record of skips."""

    def __init__(self, path: str | Path, reason: str) -> None:
        super().__init__(f"image {str(path)!r} cannot be read: {reason}")
        self.path = Path(path)
        self.reason = reason


class ImageNetSet(Dataset[tuple[Tensor, int]]):
    """Labelled pictures of a folder; item i is (image float32 [3, 224, 224] in [0, 1], class id).

    images: folder with the pictures, in any depth. labels: file for `read_labels`; the set holds the labelled
    pictures that the folder has, in the order of this file. boxes: file or folder for `read_boxes`, or None.
    transform: "resize256+centercrop224" (as Opti-CAM's authors' code) or "squash224". first: names that come before the
    others. limit: take the first ones.

    names: picture names without suffix. labels: int64 [N]. paths: the files. annotations: the boxes by picture name.
    Raises `FileNotFoundError` for a missing folder or file, `ValueError` when the folder has no labelled
    picture, or the boxes are of other pictures; an item raises `CorruptImageError` for its picture.
    """

    def __init__(
        self,
        images: str | Path,
        labels: str | Path,
        boxes: str | Path | None = None,
        transform: str = TRANSFORMS[0],
        limit: int | None = None,
        first: Sequence[str] = (),
    ) -> None:
        self.transform = check_transform(transform)
        files = find_images(images)
        class_ids = read_labels(labels)
        found = (name for name in dict.fromkeys((*first, *class_ids)) if name in files and name in class_ids)
        self.names = list(found)[:limit]
        if not self.names:
            raise ValueError(f"labels: {str(labels)!r} names none of the pictures in {str(images)!r}")
        self.paths = [files[name] for name in self.names]
        self.labels = torch.tensor([class_ids[name] for name in self.names])
        self.annotations: Mapping[str, ObjectBoxes] = {} if boxes is None else read_boxes(boxes)
        if boxes is not None and self.annotations.keys().isdisjoint(self.names):
            raise ValueError(f"boxes: {str(boxes)!r} holds boxes of none of the pictures in {str(images)!r}")

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = open_image(self.paths[index])
        try:
            return transform_image(image, self.transform), int(self.labels[index])
        except ValueError as error:
            raise CorruptImageError(self.paths[index], str(error)) from error

    def object_boxes(self, index: int, protocol: str = "paper") -> Tensor:
        """Boxes float32 [n, 4] of one picture in pixels of its 224 x 224 image; n = 0 without annotation.

        protocol "paper": carried through the transform and clipped to the image. "legacy": `legacy_boxes`.
        Raises `ValueError` for another protocol.
        """
        if protocol not in ("paper", "legacy"):
            raise ValueError(f"protocol must be 'paper' or 'legacy', got {protocol!r}")
        if self.names[index] not in self.annotations:
            return torch.empty(0, 4)
        boxes, size = self.annotations[self.names[index]]
        size = size or open_image(self.paths[index]).size
        if protocol == "legacy":
            return legacy_boxes(boxes, size, self.transform)
        from torchvision.ops import clip_boxes_to_image  # loads slowly

        clipped: Tensor = clip_boxes_to_image(transform_boxes(boxes, size, self.transform), (SIDE, SIDE))
        return clipped


def find_images(folder: str | Path) -> dict[str, Path]:
    """Files of the pictures in a folder, in any depth and behind links, by name without suffix.

    Raises `FileNotFoundError` when there is no such folder, `ValueError` when it holds no picture, or two of one name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"images: no folder {str(folder)!r}")
    files: dict[str, Path] = {}
    for file in sorted(_files(folder)):
        if file.suffix.lower() in SUFFIXES and files.setdefault(file.stem, file) != file:
            raise ValueError(
                f"images: {str(files[file.stem])!r} and {str(file)!r} have one name; rename one of them"
            )
    if not files:
        raise ValueError(f"images: folder {str(folder)!r} holds no {', '.join(SUFFIXES)} file")
    return files


def _files(folder: Path) -> Iterator[Path]:
    for home, folders, names in os.walk(folder, followlinks=True):
        folders[:] = [name for name in folders if not _leads_back(Path(home, name))]
        yield from (Path(home, name) for name in names)


def _leads_back(folder: Path) -> bool:
    """Whether this is a link to a folder that it lies in, which would never end."""
    return folder.is_symlink() and any(folder.samefile(parent) for parent in folder.parents)


def open_image(path: str | Path) -> Image.Image:
    """The picture of a file as RGB, as it is stored; `CorruptImageError` when that is not possible."""
    try:
        return open_picture(path, upright=False)
    except (ValueError, FileNotFoundError) as error:
        raise CorruptImageError(path, str(error)) from error
