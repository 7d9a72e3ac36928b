"""Do learned parts find the object's true parts? Needs pictures whose part centres are known."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from dpnet.data.blocks import Features
from dpnet.explain.gallery import top_images
from dpnet.model.evaluation import outputs
from dpnet.model.part_layer import PartClassifier


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
    purity = []
    for part_boxes, images in zip(boxes[gallery.regions.cpu()], gallery.images.tolist()):
        shown = [_shown_part(box, part_centres[i], part_ids[i]) for box, i in zip(part_boxes, images)]
        found = torch.tensor([part for part in shown if part is not None], dtype=torch.int64)
        purity.append(torch.bincount(found).max().item() / k if len(found) else 0.0)
    return torch.tensor(purity)


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
    sums = torch.zeros(3, dtype=torch.float64)
    for regions, label, centres in zip(argmax, labels.tolist(), part_centres):
        own = boxes[regions.unflatten(0, (-1, model.parts_per_class))[label]]
        hit, chance = _contains(own, centres).any(dim=1), _contains(boxes, centres).any(dim=1)
        distance = torch.cdist(_middle(own), centres.float()).amin(dim=1)
        sums += torch.stack([hit.double().mean(), chance.double().mean(), distance.double().mean()])
    return dict(zip(("hit", "hit_by_chance", "distance"), (sums / len(labels)).tolist()))


def _shown_part(box: Tensor, centres: Tensor, ids: Tensor) -> int | None:
    inside = _contains(box[None], centres)[0]
    if not inside.any():
        return None
    distances = torch.cdist(_middle(box[None]), centres[inside].float())[0]
    return int(ids[inside][distances.argmin()])


def _contains(boxes: Tensor, points: Tensor) -> Tensor:
    """Boolean [n,m]: whether box i of float [n,4] contains point j of [m,2]."""
    x, y = points.T
    x1, y1, x2, y2 = boxes.T[:, :, None]
    inside: Tensor = (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
    return inside


def _middle(boxes: Tensor) -> Tensor:
    return (boxes[:, :2] + boxes[:, 2:]) / 2
