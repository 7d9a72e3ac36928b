"""Localisation scores of the uniform map (Fake-CAM), which need object boxes but no picture.

Fake-CAM is 1 everywhere except for one corner pixel, whatever the image shows. Its row of the published
localisation tables (LE 54.0, F1 57.7, SP 99.8, EP 28.5) is therefore a function of the boxes alone, and tells
which definitions the published figures follow.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from opticam.baselines import whole_image_map
from opticam.data.imagenet_boxes import ObjectBoxes, read_wsol_boxes
from opticam.data.imagenet_transforms import SIDE, TRANSFORMS, legacy_boxes
from opticam.metrics.boxes import pack_boxes
from opticam.metrics.localization import protocol_rules

BATCH = 16


def uniform_map_scores(boxes_dir: str | Path, protocol: str = "legacy") -> dict[str, float]:
    """Mean LE, F1, SP and EP in percent of the uniform map over all pictures with boxes.

    `boxes_dir`: folder with wsolevaluation's localization.txt and image_sizes.txt of ILSVRC2012 val (50,000
    pictures, 80,477 boxes). Boxes are scaled to a short side of 224 and cropped in the centre, as in the
    authors' code (`legacy_boxes`). Keys "images", "LE", "LE clipped", "F1", "SP", "EP"; "LE clipped" is LE with
    boxes cut to the image. "legacy" gives the published row: LE 54.0, F1 57.7, SP 99.8, EP 28.5. "paper",
    which is eqs. B.2-B.4 as printed, gives LE 54.8, F1 64.5, EP 53.6; its SP says only how often the first
    pixel of the first row that holds a 1 lies in a box, because all maxima are tied.

    Raises `FileNotFoundError` when a file is missing, `ValueError` for another protocol.
    """
    from torchvision.ops import clip_boxes_to_image  # loads slowly

    rules = protocol_rules(protocol)
    for name in ("localization.txt", "image_sizes.txt"):
        if not (Path(boxes_dir) / name).is_file():
            raise FileNotFoundError(f"boxes_dir: no file {str(Path(boxes_dir) / name)!r}")
    maps = whole_image_map(BATCH, SIDE, SIDE)
    predicted = rules.predicted_box(maps[:1])
    batches = []
    for boxes in _batches(list(read_wsol_boxes(boxes_dir).values())):
        maps, count = maps[: len(boxes)], len(boxes)
        clipped = clip_boxes_to_image(boxes.reshape(-1, 4), (SIDE, SIDE)).reshape(boxes.shape)
        scores = {
            "LE": 1 - rules.overlap(predicted.expand(count, 4), boxes),
            "LE clipped": 1 - rules.overlap(predicted.expand(count, 4), clipped),
        } | rules.pixel_scores(maps, boxes)
        batches.append(scores)
    columns = {name: torch.cat([scores[name] for scores in batches]) for name in batches[0]}
    means = {name: 100 * column.double().mean().item() for name, column in columns.items()}
    return {"images": len(columns["LE"])} | means


def _batches(records: list[ObjectBoxes]) -> Iterator[Tensor]:
    for start in range(0, len(records), BATCH):
        chunk = records[start : start + BATCH]
        sized = [
            (record.boxes, record.size) for record in chunk if record.size
        ]  # image_sizes.txt has them all
        boxes = [legacy_boxes(*pair, TRANSFORMS[0]) for pair in sized]
        yield pack_boxes(boxes, len(boxes))
