"""The built-in sample data: three data sets of generated pictures that mirror those of the papers.

========  ==========================  ===================================================================
variant   mirrors                     a class is
========  ==========================  ===================================================================
many      ImageNet                    an object with three parts (``opticam.sample.objects``)
scenes    MIT Indoor 67               four part types that occur together in a room (``opticam.sample.scenes``)
fine      Caltech-UCSD Birds          a bird with its wing, tail, crest and beak (``opticam.sample.birds``)
========  ==========================  ===================================================================

The sample networks are trained on the train split of "many"; "scenes" and "fine" are for features that stay
frozen. Every picture depends on its variant, split and index alone: no two pictures share random numbers,
and any of them can be drawn without the others. The modules named above say what makes each variant hard.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from opticam.data.files import load_tensors, save_tensors
from opticam.sample import birds, objects, scenes
from opticam.sample.digests import check_pictures
from opticam.sample.painting import Drawing, photograph

SPLITS = ("train", "test")
SAMPLE_SIZE = 64


@dataclass(frozen=True)
class Variant:
    """How one data set is drawn: parts of each class, pictures per class in the train and the test split."""

    draw: Callable[[int, int, np.random.Generator], Drawing]
    class_parts: tuple[tuple[int, ...], ...]
    per_class: tuple[int, int]
    noun: str


VARIANTS: dict[str, Variant] = {
    "many": Variant(objects.draw_object_picture, objects.CLASS_PARTS, (200, 40), "object"),
    "scenes": Variant(scenes.draw_scene, scenes.CLASS_PARTS, (60, 30), "room"),
    "fine": Variant(birds.draw_bird, birds.CLASS_PARTS, (40, 20), "bird"),
}


@dataclass(frozen=True)
class SamplePicture:
    """One picture: image uint8 [3,H,W], class, and annotations as in ``SampleSet``."""

    image: np.ndarray
    label: int
    boxes: np.ndarray
    part_centres: np.ndarray
    part_ids: np.ndarray
    other_boxes: np.ndarray


@dataclass(frozen=True, eq=False)
class SampleSet(Dataset[tuple[torch.Tensor, int]]):
    """One split of a sample data set; item i is (image float32 [3,H,W] in [0,1], class id).

    images: uint8 [N,3,H,W], RGB.  labels: int64 [N].  class_names: one per class.
    boxes: per image int64 [n,4], pixels x1, y1, x2, y2, half open: the objects of the labelled class, the
    one the label was given for first.  other_boxes: the same for objects of other classes.
    part_centres, part_ids: per image float32 [m,2] (x, y in pixels) and int64 [m]: the parts of the objects
    in ``boxes``.  class_parts: part ids that define each class.
    """

    variant: str
    split: str
    images: torch.Tensor
    labels: torch.Tensor
    boxes: list[torch.Tensor]
    part_centres: list[torch.Tensor]
    part_ids: list[torch.Tensor]
    other_boxes: list[torch.Tensor]
    class_names: list[str]
    class_parts: list[list[int]]

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.images[index].float() / 255, int(self.labels[index])


def _checked(variant: str, split: str) -> Variant:
    """The named variant; raises ``ValueError`` if variant or split is unknown."""
    if variant not in VARIANTS:
        raise ValueError(f"variant={variant!r} is not one of {', '.join(VARIANTS)}")
    if split not in SPLITS:
        raise ValueError(f"split={split!r} is not one of {', '.join(SPLITS)}")
    return VARIANTS[variant]


def draw_sample(variant: str, split: str, index: int, size: int = SAMPLE_SIZE) -> SamplePicture:
    """Draw one picture of a sample data set; the class is ``index`` modulo the number of classes.

    Raises ``ValueError`` for an unknown variant or split, a negative index or a size below 32 pixels.
    """
    chosen = _checked(variant, split)
    if index < 0 or size < 32:
        raise ValueError(f"index={index} must not be negative and size={size} must be at least 32 pixels")
    seed = (list(VARIANTS).index(variant), SPLITS.index(split), index, size)
    rng = np.random.default_rng(seed)
    label = index % len(chosen.class_parts)
    drawing = chosen.draw(label, size, rng)
    return SamplePicture(
        image=photograph(drawing.image, rng),
        label=label,
        boxes=np.array(drawing.boxes, dtype=np.int64).reshape(-1, 4),
        part_centres=np.array(drawing.part_centres, dtype=np.float32).reshape(-1, 2),
        part_ids=np.array(drawing.part_ids, dtype=np.int64),
        other_boxes=np.array(drawing.other_boxes, dtype=np.int64).reshape(-1, 4),
    )


@lru_cache
def sample_fingerprint(
    variant: str, split: str, per_class: int | None = None, size: int = SAMPLE_SIZE
) -> str:
    """Twelve hex digits that change with the counts and with the pixels of the split's first 16 pictures."""
    per_class = _pictures_per_class(variant, split, per_class)
    digest = hashlib.sha256(f"{variant} {split} {per_class} {size}".encode())
    for index in range(16):
        digest.update(draw_sample(variant, split, index, size).image.tobytes())
    return digest.hexdigest()[:12]


def _pictures_per_class(variant: str, split: str, per_class: int | None) -> int:
    """The given count or the variant's own; raises ``ValueError`` if it is below 1."""
    count = _checked(variant, split).per_class[SPLITS.index(split)] if per_class is None else per_class
    if count < 1:
        raise ValueError(f"per_class={per_class} must be at least 1")
    return count


RAGGED = ("boxes", "part_centres", "part_ids", "other_boxes")


def _draw_tensors(variant: str, split: str, per_class: int, size: int) -> dict[str, torch.Tensor]:
    """All pictures of a split; annotations of varying length are joined, with their counts beside them."""
    count = per_class * len(VARIANTS[variant].class_parts)
    pictures = [draw_sample(variant, split, index, size) for index in range(count)]
    tensors = {
        "images": torch.from_numpy(np.stack([picture.image for picture in pictures])),
        "labels": torch.tensor([picture.label for picture in pictures]),
    }
    for name in RAGGED:
        rows = [getattr(picture, name) for picture in pictures]
        tensors[name] = torch.from_numpy(np.concatenate(rows))
        tensors[f"{name}_count"] = torch.tensor([len(row) for row in rows])
    return tensors


def sample_set(
    variant: str,
    split: str,
    cache_dir: str | Path | None = None,
    size: int = SAMPLE_SIZE,
    per_class: int | None = None,
) -> SampleSet:
    """The train or test split of a sample data set, drawn or read from ``cache_dir``.

    variant: "many", "scenes" or "fine".  split: "train" or "test".  size: pixels a side.
    per_class: pictures per class; by default many 200/40, scenes 60/30, fine 40/20 (train/test).
    With a ``cache_dir`` the pictures are written there once and read from then on.
    Warns where pictures of a split that the published runs used are drawn otherwise.
    Raises ``ValueError`` for an unknown variant or split, for counts or sizes that are too small, and for a file
    of other pictures.
    """
    chosen = _checked(variant, split)
    per_class = _pictures_per_class(variant, split, per_class)
    fingerprint = sample_fingerprint(variant, split, per_class, size)
    path = (
        None if cache_dir is None else Path(cache_dir) / f"sample-{variant}-{split}-{fingerprint}.safetensors"
    )
    kept = path is not None and path.is_file()
    if path is not None and kept:
        tensors = load_tensors(path)[0]
    else:
        tensors = _draw_tensors(variant, split, per_class, size)
        if path is not None:
            save_tensors(path, tensors, {"variant": variant, "split": split})
    if size == SAMPLE_SIZE:
        part = f"{variant}/{split}/{per_class}"
        check_pictures(part, tensors["images"], tensors["labels"], path if kept else None)
    ragged = {name: list(tensors[name].split(tensors[f"{name}_count"].tolist())) for name in RAGGED}
    return SampleSet(
        variant=variant,
        split=split,
        images=tensors["images"],
        labels=tensors["labels"],
        class_names=[f"{chosen.noun} {c:02d}" for c in range(len(chosen.class_parts))],
        class_parts=[list(ids) for ids in chosen.class_parts],
        **ragged,
    )
