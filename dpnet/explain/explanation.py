"""What each part adds to a class's logit, and where in the image it was found."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from dpnet.data.blocks import Features
from dpnet.data.geometry import size_of
from dpnet.model.evaluation import outputs
from dpnet.model.part_layer import PartClassifier, PartOutput

MAP_KINDS = ("exact", "dense")


class ClassParticipation(NamedTuple):
    """Averages over the images of each class; both [C,P], rows of classes without images are 0."""

    participation: Tensor  # A_cp: mean over images of class c of V_cp b_p
    centred: Tensor  # the same with b_p minus its mean over all images


def image_participation(model: PartClassifier, output: PartOutput, classes: Tensor) -> Tensor:
    """a_cp = V_cp b_p [B,P]: what each part adds to the logit of ``classes`` int64 [B].

    Exact: the parts of an image sum to its logit minus the bias.
    """
    return model.classifier.weight[classes] * output.bag_of_parts.to(model.classifier.weight.dtype)


def centred_participation(
    model: PartClassifier, output: PartOutput, classes: Tensor, mean_bag: Tensor
) -> Tensor:
    """V_cp (b_p - mean b_p) [B,P], with ``mean_bag`` [P] over the training images (`PartClassifier.mean_bag`).

    A maximum of cosines is far above 0 in every image; this tells what is particular to this one. It sums to
    the logit minus the logit of the average bag of parts.
    """
    bag = output.bag_of_parts.to(model.classifier.weight.dtype)
    return model.classifier.weight[classes] * (bag - mean_bag)


@torch.no_grad()
def class_participation(model: PartClassifier, features: Features, labels: Tensor) -> ClassParticipation:
    """Class-level participation over feature maps [N,d,h,w] with labels int64 [N], in one pass, float32."""
    weight = model.classifier.weight.double()
    labels = labels.to(weight.device)
    counts = torch.bincount(labels, minlength=model.num_classes)[:, None]
    sums, start = torch.zeros_like(weight), 0
    for output in outputs(model, features):
        bag = output.bag_of_parts.double()
        sums.index_add_(0, labels[start : start + len(bag)], bag)
        start += len(bag)
    means = sums / counts.clamp(min=1)
    centred = torch.where(counts > 0, means - sums.sum(dim=0) / len(labels), 0.0)
    return ClassParticipation((weight * means).float(), (weight * centred).float())


def participation_map(
    model: PartClassifier, features: Tensor, classes: Tensor, kind: str = "exact"
) -> Tensor:
    """Where the logit of ``classes`` int64 [B] comes from, on the grid of the feature maps: [B,h,w], signed.

    "exact": each part adds V_cp b_p to the region where it was found, M_c(r) = sum of V_cp b_p over parts
    with r*_p = r; the map sums to the logit minus the bias. "dense": every part adds V_cp S_pr everywhere,
    a class activation map with the weight vector V_c U. The network never uses the entries of S that are no
    maximum, so the dense map is a picture, not an account of the decision.
    A region of several cells spreads its value evenly over them. Raises ValueError for another kind.
    """
    return score_map(model, features, model.classifier.weight[classes], kind)


def score_map(model: PartClassifier, features: Tensor, part_weights: Tensor, kind: str = "exact") -> Tensor:
    """`participation_map` of any score that is linear in b, given its weight of each part [B,P]."""
    if kind not in MAP_KINDS:
        raise ValueError(f"kind is {kind!r}; accepted: {', '.join(MAP_KINDS)}")
    size = size_of(features)
    if kind == "exact":
        output = model(features)
        values = part_weights * output.bag_of_parts.to(part_weights.dtype)
        per_region = values.new_zeros(len(features), model.scheme.count(*size))
        per_region = per_region.scatter_add(1, output.argmax_region.long(), values)
    else:
        similarity = model.similarity(features).to(part_weights.dtype)
        per_region = torch.einsum("bp,bpr->br", part_weights, similarity)
    return spread_over_cells(per_region, model.scheme.cell_boxes(*size), size)


def spread_over_cells(per_region: Tensor, cell_boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Values of regions [B,R] on the grid [B,h,w]: each evenly over the cells of its box, sum kept."""
    share = cover(cell_boxes, size).to(per_region)
    share = share / share.sum(dim=1, keepdim=True)
    maps: Tensor = (per_region @ share).unflatten(1, size)
    return maps


def part_heat_map(model: PartClassifier, features: Tensor, parts: Tensor) -> Tensor:
    """Similarity of parts (int64 [n]) to each cell [B,n,h,w]: the best of regions that cover it."""
    size = size_of(features)
    similarity = model.similarity(features)[:, parts]
    covered = cover(model.scheme.cell_boxes(*size), size).to(similarity.device)
    cells = [similarity[:, :, covered[:, cell]].amax(dim=2) for cell in range(covered.shape[1])]
    maps: Tensor = torch.stack(cells, dim=2).unflatten(2, size)
    return maps


def cover(cell_boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boolean [R, h*w]: which cells the boxes int64 [R,4] contain."""
    rows, columns = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    x1, y1, x2, y2 = cell_boxes[:, :, None, None].unbind(dim=1)
    return ((columns >= x1) & (columns < x2) & (rows >= y1) & (rows < y2)).flatten(1)


def best_boxes(
    model: PartClassifier, output: PartOutput, map_size: tuple[int, int], image_size: tuple[int, int]
) -> Tensor:
    """Pixel boxes [B,P,4] (x1, y1, x2, y2) of the region where each part was found.

    Exact for DP-Net, whose parts score regions; prototype networks threshold an upsampled map instead.
    ``map_size`` is (h, w) of the feature maps, ``image_size`` (H, W) in pixels.
    """
    boxes = model.boxes(map_size, image_size).to(output.argmax_region.device)
    return boxes[output.argmax_region.long()]
