"""The images that the Opti-CAM experiments run on, whatever they come from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from opticam.data import sample_set
from opticam.data.imagenet import CorruptImageError, ImageNetSet


@dataclass(frozen=True)
class Batch:
    """Images [B,3,H,W] in [0,1] with class ids [B] and the names they have in the store."""

    names: list[str]
    images: torch.Tensor
    labels: torch.Tensor

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: torch.device) -> Batch:
        """The same batch with its tensors on `device`."""
        return Batch(self.names, self.images.to(device), self.labels.to(device))


class ImageSource(Protocol):
    """Named, labelled images in a fixed order."""

    names: list[str]
    class_names: list[str] | None

    def load(self, index: int) -> tuple[torch.Tensor, int]:
        """Image [3,H,W] in [0,1] and class id; raises CorruptImageError for one that cannot be read."""


class SampleSource:
    """The test split of the built-in sample set "many"."""

    def __init__(self, cache_dir: Path, limit: int | None) -> None:
        self._set = sample_set("many", "test", cache_dir)
        count = len(self._set) if limit is None else min(limit, len(self._set))
        self.names = [f"many/test/{index:05d}" for index in range(count)]
        self.class_names = self._set.class_names

    def load(self, index: int) -> tuple[torch.Tensor, int]:
        """Image [3,64,64] in [0,1] and class id."""
        return self._set[index]


class FolderSource:
    """ImageNet validation pictures, or any pictures with a file of labels."""

    def __init__(self, images: Path, labels: Path, transform: str, limit: int | None) -> None:
        self._set = ImageNetSet(images, labels, transform=transform, limit=limit)
        self.names = list(self._set.names)
        self.class_names = None

    def load(self, index: int) -> tuple[torch.Tensor, int]:
        """Image [3,224,224] in [0,1] and class id."""
        return self._set[index]


def load_batch(source: ImageSource, indices: range) -> tuple[Batch | None, dict[str, str]]:
    """The readable images of `indices` as a batch (None if there is none), and name -> reason of the others."""
    names, images, labels, skipped = [], [], [], {}
    for index in indices:
        try:
            image, label = source.load(index)
        except CorruptImageError as error:
            skipped[source.names[index]] = error.reason
            continue
        names.append(source.names[index])
        images.append(image)
        labels.append(label)
    if not names:
        return None, skipped
    return Batch(names, torch.stack(images), torch.tensor(labels)), skipped
