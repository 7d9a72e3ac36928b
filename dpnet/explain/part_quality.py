"""Do learned parts find the object's true parts? Needs pictures whose part centres are known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from dpnet.data.blocks import Features
from dpnet.explain.gallery import top_images
from dpnet.model.evaluation import outputs
from dpnet.model.part_layer import PartClassifier

NOTHING = -1
"""The true part of a box that shows none."""


@torch.no_grad()
def part_purity(
    model: PartClassifier,
    features: Features,
    boxes: Tensor,
    part_centres: Sequence[Tensor],
    part_ids: Sequence[Tensor],
    k: int = 10,
) -> Tensor:
    """Purity of each part [P], in [0,1]: how often its k best boxes show one and the same true part.

    A box shows the true part whose centre lies inside it, the one nearest to the middle of the box if there
    are several, and none if there is none. Purity is the count of the most frequent true part over k.
    ``features`` are maps [N,d,h,w] or their regions (`prepare`), ``boxes`` [R,4] those of `PartClassifier.boxes`. Per
    image, ``part_centres`` holds (x, y) in pixels [m,2] and ``part_ids`` int64 [m].
    """
    gallery = top_images(model, features, k)
    centres = _padded(part_centres)
    inside, distance = _inside(boxes, centres), _distance(boxes, centres)
    nearest = distance.masked_fill(~inside, torch.inf).argmin(dim=2)
    shown = pad_sequence(list(part_ids), batch_first=True).gather(1, nearest)
    shown = shown.where(inside.any(dim=2), NOTHING)[gallery.images.cpu(), gallery.regions.cpu()]
    same = (shown[:, :, None] == shown[:, None]) & (shown != NOTHING)[:, :, None]
    return same.sum(dim=2).amax(dim=1) / k


@torch.no_grad()
def part_localisation(
    model: PartClassifier,
    features: Features,
    labels: Tensor,
    boxes: Tensor,
    part_centres: Sequence[Tensor],
) -> dict[str, float]:
    """Where the parts of an image's own class are found, against the true part centres of its objects.

    hit: share of best boxes with a true centre inside, in [0,1]. hit_by_chance: the same for a region drawn at
    random. distance: from the middle of the best box to the nearest true centre, in pixels, mean. ``features`` and
    ``boxes`` as in `part_purity`.
    """
    argmax = torch.cat([output.argmax_region.long().cpu() for output in outputs(model, features)])
    own = argmax.unflatten(1, (-1, model.parts_per_class))[torch.arange(len(labels)), labels.cpu()]
    centres = _padded(part_centres)
    hit = _inside(boxes, centres).any(dim=2)
    distance = _distance(boxes, centres).amin(dim=2).gather(1, own)
    found = {"hit": hit.gather(1, own), "hit_by_chance": hit, "distance": distance}
    return {name: values.double().mean(dim=1).mean().item() for name, values in found.items()}


def _inside(boxes: Tensor, centres: Tensor) -> Tensor:
    """Boolean [N,R,m]: whether box r of [R,4] contains centre j of image i, of `_padded` centres."""
    x, y = centres[:, None].unbind(3)
    x1, y1, x2, y2 = boxes.T[:, None, :, None]
    inside: Tensor = (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
    return inside


def _distance(boxes: Tensor, centres: Tensor) -> Tensor:
    """Float32 [N,R,m]: from the middle of each box to each of `_padded` centres."""
    middle = (boxes[:, :2] + boxes[:, 2:]) / 2
    distance: Tensor = torch.linalg.vector_norm(middle[:, None] - centres[:, None], dim=3)
    return distance


def _padded(centres: Sequence[Tensor]) -> Tensor:
    """The centres [m,2] of all images as one [N,m,2], infinitely far beyond an image's own."""
    return pad_sequence([own.float() for own in centres], batch_first=True, padding_value=torch.inf)
