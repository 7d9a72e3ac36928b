"""The parts of one class under several constraint settings, with the numbers that tell them apart."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from dpnet.data.geometry import size_of
from dpnet.explain.explanation import best_boxes, class_participation, image_participation
from dpnet.model.evaluation import distinct_regions, parts_for_share
from dpnet.model.part_layer import PartClassifier


class ClassParts(NamedTuple):
    """The most important parts of a class in some images, and figures over those images."""

    parts: Tensor  # indices of the n parts with the largest class-level participation, int64 [n]
    boxes: Tensor  # where they are found, pixels, float32 [B,n,4]
    figures: dict[str, float]


@torch.no_grad()
def class_parts(
    model: PartClassifier,
    features: Tensor,
    label: int,
    image_size: tuple[int, int],
    num_parts: int = 5,
) -> ClassParts:
    """The ``num_parts`` parts that add most to class ``label`` on its feature maps [B,d,h,w].

    Figures: distinct_regions (of the parts shown, mean over images; orthogonality raises it), box_iou (mean
    over pairs of their boxes; orthogonality lowers it), entropy (mean assignment entropy in nats; assignment
    lowers it), own_share (of the absolute participation, from the class's own parts; class specificity raises
    it), parts_90 (parts that explain 90 % of it; assignment and class specificity lower it).
    """
    labels = torch.full((len(features),), label, device=model.parts.device)
    output = model(features.to(model.parts), with_entropy=True)
    parts = class_participation(model, features, labels).participation[label].topk(num_parts).indices
    boxes = best_boxes(model, output, size_of(features), image_size)[:, parts]
    size = image_participation(model, output, labels).abs()
    figures = {
        "distinct_regions": distinct_regions(output.argmax_region[:, parts]).double().mean().item(),
        "box_iou": sum(map(_mean_pairwise_iou, boxes)) / len(boxes),
        "entropy": output.entropy.mean().item(),
        "own_share": (size[:, model.owner == label].sum(dim=1) / size.sum(dim=1)).mean().item(),
        "parts_90": parts_for_share(size, 0.9).double().mean().item(),
    }
    return ClassParts(parts.cpu(), boxes.cpu(), figures)


def compare_settings(
    models: Mapping[str, PartClassifier],
    features: Tensor,
    label: int,
    image_size: tuple[int, int],
    num_parts: int = 5,
) -> dict[str, ClassParts]:
    """`class_parts` of each model, under the name of its setting."""
    return {
        name: class_parts(model, features, label, image_size, num_parts) for name, model in models.items()
    }


def _mean_pairwise_iou(boxes: Tensor) -> float:
    from torchvision.ops import box_iou  # loads slowly

    overlaps: Tensor = box_iou(boxes, boxes)
    pairs = torch.triu(torch.ones_like(overlaps, dtype=torch.bool), diagonal=1)
    return overlaps[pairs].mean().item()
