"""What a model gives on frozen features: regions, logits, accuracy, and how interpretable its parts are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import overload

import torch
from torch import Tensor, nn

from dpnet.data.blocks import Features, block_size, in_order
from dpnet.model.constraints import own_class_mask
from dpnet.model.part_layer import GlobalClassifier, PartClassifier, PartOutput
from dpnet.model.regions import normalise_rows


@overload
def outputs(
    model: PartClassifier,
    features: Features,
    *,
    batch_size: int = ...,
    with_entropy: bool = ...,
) -> Iterator[PartOutput]: ...


@overload
def outputs(
    model: nn.Module,
    features: Features,
    *,
    batch_size: int = ...,
    with_entropy: bool = ...,
) -> Iterator[PartOutput | Tensor]: ...


@torch.no_grad()
def outputs(
    model: nn.Module,
    features: Features,
    *,
    batch_size: int = 256,
    with_entropy: bool = False,
) -> Iterator[PartOutput | Tensor]:
    """What the model gives for feature maps [N,d,h,w], batch by batch, in evaluation mode.

    The maps are cast to the dtype of the parameters.
    """
    parameter = next(model.parameters())
    options = {"with_entropy": True} if with_entropy else {}
    training = model.training
    model.eval()
    try:
        for indices in in_order(features, batch_size):
            yield model(features[indices].to(parameter.device, parameter.dtype), **options)
    finally:
        model.train(training)


@torch.no_grad()
def prepare(
    model: PartClassifier | GlobalClassifier,
    features: Features,
    *,
    dtype: torch.dtype | None = None,
) -> Features:
    """What the model makes of feature maps [N,d,h,w] before its first parameter, on the CPU.

    Regions [N,R,d] for a part model, descriptors [N,d] for the baseline. The model takes them in place of the
    maps, in training and after it, and its centre must not change in between. The maps are cast to ``dtype`` first, or
    have their own where it is None; of maps in that dtype the model gives the same logits. What is made stays in
    memory: with one region a cell as much as the maps, with windows of all sizes a multiple. Features with a bound on
    memory come back as they are.
    """
    if block_size(features) is not None:
        return features
    make = model.regions if isinstance(model, PartClassifier) else model.pooled
    batches = in_order(features)
    return torch.cat([make(features[batch].to(model.centre.device, dtype)).cpu() for batch in batches])


def predict(model: nn.Module, features: Features) -> Tensor:
    """Logits [N,C] of feature maps [N,d,h,w], on the CPU."""
    batches = outputs(model, features)
    logits = [output.logits if isinstance(output, PartOutput) else output for output in batches]
    return torch.cat([batch.float().cpu() for batch in logits])


def accuracy(model: nn.Module, features: Features, labels: Tensor) -> float:
    """Fraction of the images whose largest logit is their label, in [0,1]."""
    hits, start = 0, 0
    for output in outputs(model, features):  # all logits together may be more than the memory holds
        logits = output.logits if isinstance(output, PartOutput) else output
        own = labels[start : start + len(logits)].to(logits.device)
        hits, start = hits + int((logits.argmax(dim=1) == own).sum()), start + len(logits)
    return hits / len(labels)


@torch.no_grad()
def mean_bag(model: PartClassifier, features: Features) -> Tensor:
    """b averaged over feature maps [N,d,h,w]: float32 [P] on the model's device, summed in float64."""
    total = torch.zeros(len(model.parts), dtype=torch.float64, device=model.parts.device)
    for output in outputs(model, features):
        total += output.bag_of_parts.double().sum(dim=0)
    return (total / len(features)).float()


@torch.no_grad()
def rms_cosine(parts: Tensor) -> float:
    """Root mean square cosine between different rows of ``parts`` [P,d], in [0,1]; what C_perp lowers."""
    unit = normalise_rows(parts.double())
    cosines = unit @ unit.T
    off_diagonal = ~torch.eye(len(parts), dtype=torch.bool, device=parts.device)
    return cosines[off_diagonal].square().mean().sqrt().item()


@torch.no_grad()
def off_class_mass(weight: Tensor, parts_per_class: int) -> float:
    """Share of the absolute weight of V [C,P] that lies on parts of other classes, in [0,1]; CS lowers it."""
    own = own_class_mask(len(weight), parts_per_class, weight.device)
    magnitude = weight.abs().double()
    return (magnitude[~own].sum() / magnitude.sum()).item()


@torch.no_grad()
def interpretability(model: PartClassifier, features: Features, labels: Tensor) -> dict[str, float]:
    """The figures that tell constraint settings apart, measured on labelled feature maps [N,d,h,w].

    rms_cosine: root mean square cosine between parts (C_perp lowers it). entropy: mean assignment entropy in
    nats (C_Assign lowers it). own_class_mass: share of the class-level participation |A_c| that lies on the
    class's own parts (CS raises it). effective_parts: exp of the entropy of |A_c| / sum |A_c|, mean over
    classes. parts_90: parts needed for 90 % of an image's absolute participation. distinct_regions: distinct
    regions r* among the q parts owned by the image's class.
    """
    weight = model.classifier.weight.double()
    own = own_class_mask(model.num_classes, model.parts_per_class, weight.device)
    class_sums = torch.zeros_like(weight)
    entropies, parts_90, distinct = [], [], []
    start = 0
    for output in outputs(model, features, with_entropy=True):
        classes = labels[start : start + len(output.logits)].to(weight.device)
        start += len(classes)
        participation = weight[classes] * output.bag_of_parts.double()
        class_sums.index_add_(0, classes, participation)
        if output.entropy is not None:
            entropies.append(output.entropy.double().mean(dim=1))
        parts_90.append(parts_for_share(participation.abs(), 0.9))
        chosen = output.argmax_region[own[classes]].reshape(len(classes), -1)
        distinct.append(distinct_regions(chosen))
    share = class_sums.abs()[torch.unique(labels).to(weight.device)]
    share = share / share.sum(dim=1, keepdim=True)
    return {
        "rms_cosine": rms_cosine(model.parts),
        "entropy": torch.cat(entropies).mean().item(),
        "own_class_mass": share[own[torch.unique(labels).to(weight.device)]].sum().item() / len(share),
        "off_class_mass": off_class_mass(weight, model.parts_per_class),
        "effective_parts": torch.exp(-torch.xlogy(share, share).sum(dim=1)).mean().item(),
        "parts_90": torch.cat(parts_90).double().mean().item(),
        "distinct_regions": torch.cat(distinct).double().mean().item(),
    }


def parts_for_share(magnitude: Tensor, share: float) -> Tensor:
    """How many of the largest entries of each row [n,P] reach this share of the row's sum."""
    cumulative = magnitude.sort(dim=1, descending=True).values.cumsum(dim=1)
    return (cumulative < share * cumulative[:, -1:]).sum(dim=1) + 1


def distinct_regions(indices: Tensor) -> Tensor:
    """Number of distinct values in each row [n,q]."""
    ordered = indices.sort(dim=1).values
    return (ordered.diff(dim=1) != 0).sum(dim=1) + 1
