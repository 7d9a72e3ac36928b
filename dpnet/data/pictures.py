"""Labelled pictures on disk, in the layouts in which the papers' data sets are handed out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.utils.data import Dataset

from dpnet.data.layouts import LAYOUTS, detect_layout
from dpnet.data.leakage import file_hashes
from opticam.data.photo import read_photo

if TYPE_CHECKING:
    from opticam.sample import SampleSet


@dataclass(frozen=True)
class PictureSet(Dataset[tuple[Tensor, int]]):
    """Pictures of one split; an item is (image float32 [3,size,size] in [0,1], class id).

    ``resize`` is "squash" (both sides to ``size``, so that every part stays in view and boxes map back by a
    scale) or "crop" (short side to size * 256 / 224, then the centre).
    """

    paths: tuple[Path, ...]
    labels: Tensor
    class_names: tuple[str, ...]
    size: int = 224
    resize: str = "squash"

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return read_photo(self.paths[index], self.size, self.resize), int(self.labels[index])

    @cached_property
    def hashes(self) -> list[str]:
        """SHA-256 of each file; the files are read once, which of many takes minutes."""
        return file_hashes(self.paths)

    def without(self, positions: Iterable[int]) -> PictureSet:
        """The same pictures but for those at these positions."""
        kept = sorted(set(range(len(self))) - set(positions))
        fewer = replace(self, paths=tuple(self.paths[i] for i in kept), labels=self.labels[kept])
        if "hashes" in vars(self):
            vars(fewer)["hashes"] = [self.hashes[i] for i in kept]
        return fewer


@dataclass(frozen=True)
class PictureData:
    """The training and test pictures of one data set; ValueError for a class without a training picture."""

    name: str
    train: PictureSet | SampleSet
    test: PictureSet | SampleSet

    def __post_init__(self) -> None:
        found = set(self.train.labels.tolist())
        for label, name in enumerate(self.train.class_names):
            if label not in found:
                raise ValueError(f"data: the class {name!r} of {self.name} has no training picture")


def load_pictures(
    folder: str | Path, layout: str = "auto", *, size: int = 224, resize: str = "squash"
) -> PictureData:
    """The data set in ``folder``.

    ``layout`` is "mit67", "cub200", "imagenet", "folders" (train/CLASS/picture and test or val/CLASS/picture)
    or "auto", which looks at the files. Raises FileNotFoundError naming the missing file and where to get it,
    ValueError for an unknown layout, a split or a class without pictures or a picture list that cannot be read.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise FileNotFoundError(f"data: there is no folder {folder}")
    if layout == "auto":
        layout = detect_layout(folder)
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}; accepted: auto, {', '.join(LAYOUTS)}")
    splits, class_names = LAYOUTS[layout](folder)
    sets = {}
    for split, pictures in splits.items():
        if not pictures:
            raise ValueError(f"data: the {split} split of {folder} holds no picture")
        paths, labels = zip(*pictures)
        sets[split] = PictureSet(paths, torch.tensor(labels), tuple(class_names), size, resize)
    return PictureData(folder.name if layout == "folders" else layout, **sets)
