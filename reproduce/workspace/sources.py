"""The images that the Opti-CAM experiments run on, whatever they come from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch

from opticam.data.imagenet import CorruptImageError, ImageNetSet
from opticam.data.imagenet_labels import read_labels
from opticam.data.photo import read_photo
from opticam.data.photographs import PHOTOGRAPHS
from opticam.sample import sample_set
from opticam.sample.pictures import SAMPLE_SIZE
from reproduce.workspace.map_cache import facts_digest
from reproduce.workspace.profile import PICTURE_SIZE

PROTOCOLS = ("paper", "legacy")


@dataclass(frozen=True)
class Batch:
    """Images [B,3,H,W] in [0,1] with class ids [B] and the names they have in the store.

    boxes: by protocol, one tensor [n,4] of object boxes per image, as `opticam.metrics.localization` takes
    them; n = 0 where an image has none.
    """

    names: list[str]
    images: torch.Tensor
    labels: torch.Tensor
    boxes: Mapping[str, list[torch.Tensor]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: torch.device) -> Batch:
        """The same batch with images and class ids on `device`."""
        return Batch(self.names, self.images.to(device), self.labels.to(device), self.boxes)

    def rows(self, names: Iterable[str]) -> list[int]:
        """Places of the images that are among `names`."""
        wanted = set(names)
        return [row for row, name in enumerate(self.names) if name in wanted]

    def part(self, rows: list[int]) -> Batch:
        """The batch of some of its images."""
        boxes = {protocol: [entry[row] for row in rows] for protocol, entry in self.boxes.items()}
        return Batch([self.names[row] for row in rows], self.images[rows], self.labels[rows], boxes)


class ImageSource(Protocol):
    """Named, labelled images in a fixed order.

    has_boxes: whether any has object boxes. has_labels: whether the class ids are the pictures' own, and not what a
    network predicts. fingerprint: differs where the same names mean other pictures or other class ids.
    boxes_fingerprint: hexadecimal, differs where the boxes do; "" where they come with the pictures, or there are none.
    size: (H, W) of each image.
    """

    names: list[str]
    size: tuple[int, int]
    fingerprint: str
    boxes_fingerprint: str
    class_names: list[str] | None
    has_boxes: bool
    has_labels: bool

    def load(self, index: int) -> tuple[torch.Tensor, int]:
        """Image [3,H,W] in [0,1] and class id; raises CorruptImageError for one that cannot be read."""

    def boxes(self, index: int, protocol: str) -> torch.Tensor:
        """Object boxes [n,4] of one image for a protocol of `opticam.metrics.localization`."""


class SampleSource:
    """The test split of the built-in sample set "many"."""

    has_boxes = has_labels = True
    boxes_fingerprint = ""
    size = (SAMPLE_SIZE, SAMPLE_SIZE)

    def __init__(self, cache_dir: Path, limit: int | None) -> None:
        self._set = sample_set("many", "test", cache_dir)
        count = len(self._set) if limit is None else min(limit, len(self._set))
        self.names = [f"many/test/{index:05d}" for index in range(count)]
        self.class_names: list[str] | None = self._set.class_names
        self.fingerprint = hashlib.sha256(self._set.images.numpy().tobytes()).hexdigest()[:12]

    def load(self, index: int) -> tuple[torch.Tensor, int]:
        """Image [3,64,64] in [0,1] and class id."""
        return self._set[index]

    def boxes(self, index: int, protocol: str) -> torch.Tensor:
        """Boxes [n,4]; they lie inside the picture, so both protocols read the same ones."""
        return self._set.boxes[index].float()


class PhotographSource:
    """The photographs that installed packages carry; each is "labelled" with the class that is explained."""

    has_boxes = has_labels = False
    boxes_fingerprint = ""
    size = (PICTURE_SIZE, PICTURE_SIZE)
    class_names: list[str] | None = None

    def __init__(self, limit: int | None) -> None:
        self.names = list(PHOTOGRAPHS)[:limit]
        pictures = (photograph.path.read_bytes() for photograph in PHOTOGRAPHS.values())  # whatever the limit
        self.fingerprint = hashlib.sha256(b"".join(pictures)).hexdigest()[:12]

    def load(self, index: int) -> tuple[torch.Tensor, int]:
        """The centre [3,224,224] in [0,1], and the class that EfficientNet-Lite0 predicts there."""
        photograph = PHOTOGRAPHS[self.names[index]]
        return read_photo(photograph.path), photograph.class_id

    def boxes(self, index: int, protocol: str) -> torch.Tensor:
        """Boxes [0,4]: nobody drew any."""
        return torch.zeros(0, 4)


class FolderSource:
    """ImageNet validation pictures, or any pictures with a file of labels and, for some metrics, boxes.

    first: names of pictures that come before the others, where they are among them.
    """

    has_labels = True
    size = (PICTURE_SIZE, PICTURE_SIZE)

    def __init__(
        self,
        images: Path,
        labels: Path,
        boxes: Path | None,
        transform: str,
        limit: int | None,
        first: Sequence[str] = (),
    ) -> None:
        self._set = ImageNetSet(images, labels, boxes, transform=transform, limit=limit, first=first)
        self.names = list(self._set.names)
        self.class_names: list[str] | None = None
        # Of the whole file, whatever the limit; paths alone would not tell of a file that was written anew.
        self.fingerprint = facts_digest([transform, *first, sorted(read_labels(labels).items())])
        self.has_boxes = boxes is not None
        drawn = [
            (name, corners.tolist(), size) for name, (corners, size) in sorted(self._set.annotations.items())
        ]
        self.boxes_fingerprint = facts_digest(drawn) if drawn else ""

    def load(self, index: int) -> tuple[torch.Tensor, int]:
        """Image [3,224,224] in [0,1] and class id."""
        return self._set[index]

    def boxes(self, index: int, protocol: str) -> torch.Tensor:
        """Boxes [n,4] in the frame of the image that the protocol asks for."""
        return self._set.object_boxes(index, protocol)


def load_batch(
    source: ImageSource, indices: range, with_boxes: bool = False
) -> tuple[Batch | None, dict[str, str]]:
    """The readable images of `indices` as a batch (None if there is none), and name -> reason of the others."""
    readable, images, labels, skipped = [], [], [], {}
    for index in indices:
        try:
            image, label = source.load(index)
        except CorruptImageError as error:
            skipped[source.names[index]] = error.reason
            continue
        readable.append(index)
        images.append(image)
        labels.append(label)
    if not readable:
        return None, skipped
    names = [source.names[index] for index in readable]
    protocols = PROTOCOLS if with_boxes else ()
    boxes = {protocol: [source.boxes(index, protocol) for index in readable] for protocol in protocols}
    return Batch(names, torch.stack(images), torch.tensor(labels), boxes), skipped
