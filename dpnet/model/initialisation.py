"""Starting points for the parts U and the linear layer V; the paper's are unknown, these are choices."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from dpnet.data.blocks import Features, in_order
from dpnet.model.constraints import own_class_mask
from dpnet.model.part_layer import Model, PartClassifier
from dpnet.model.regions import normalise_rows

PART_METHODS = ("random", "class_regions", "kmeans", "discriminative")
CLASSIFIER_METHODS = {"default": None, "own_minus_half": -0.5, "own_zero": 0.0}


def initialise_parts(
    model: PartClassifier,
    method: str,
    features: Features | None = None,
    labels: Tensor | None = None,
    *,
    seed: int = 0,
    images_per_class: int = 64,
) -> None:
    """Set the parts U of ``model`` in place, part p from the training images of its owner class.

    "random": unit Gaussian directions (needs no features). "class_regions": random regions of the class.
    "kmeans": the centres of q clusters of the class's regions. "discriminative": among 3q such centres, made
    directions by whitening as in linear discriminant analysis, the q whose best response separates images of
    the class from the others best. Reads at most ``images_per_class`` images of a class, from ``features``
    [N,d,h,w] with ``labels`` int64 [N]. Raises ValueError for an unknown method, or a class without images.
    """
    if method not in PART_METHODS:
        raise ValueError(f"method is {method!r}; accepted: {', '.join(PART_METHODS)}")
    generator = torch.Generator().manual_seed(seed)
    if method == "random":
        # In float64: PyTorch rounds float32 normals differently on different processors.
        parts = torch.randn(model.parts.shape, generator=generator, dtype=torch.float64)
    else:
        if features is None or labels is None:
            raise ValueError(f"method {method!r} needs features and labels")
        regions = _regions_of_classes(model, features, labels, images_per_class, generator)
        parts = _from_regions(method, regions, model.parts_per_class, generator)
    with torch.no_grad():
        model.parts.copy_(normalise_rows(parts))


@torch.no_grad()
def fit_centre(model: Model, features: Features) -> None:
    """Set the centre of ``model`` in place to the mean over all cells of the training maps [N,d,h,w].

    Do this before `initialise_parts`, whose regions are centred ones.
    """
    total = torch.zeros(len(model.centre), dtype=torch.float64)
    for indices in in_order(features):
        total += features[indices].double().mean(dim=(2, 3)).sum(dim=0).cpu()
    model.centre.copy_(total / len(features))


def initialise_classifier(model: PartClassifier, method: str = "default") -> None:
    """Set V and its bias in place: "default" of `torch.nn.Linear`, or one of two patterns.

    "own_minus_half" gives own parts 1 and others -0.5, as ProtoPNet does; "own_zero" gives others 0.
    """
    if method not in CLASSIFIER_METHODS:
        raise ValueError(f"method is {method!r}; accepted: {', '.join(CLASSIFIER_METHODS)}")
    others = CLASSIFIER_METHODS[method]
    if others is None:
        model.classifier.reset_parameters()
        return
    own = own_class_mask(model.num_classes, model.parts_per_class, model.parts.device)
    with torch.no_grad():
        model.classifier.weight.copy_(torch.where(own, 1.0, others))
        if model.classifier.bias is not None:
            model.classifier.bias.zero_()


def _regions_of_classes(
    model: PartClassifier, features: Features, labels: Tensor, limit: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Regions [n,R,d] of up to ``limit`` images of each class, at least float32, on the CPU; read when asked for."""
    chosen = []
    for label in range(model.num_classes):
        images = torch.nonzero(labels.cpu() == label).flatten()
        if not len(images):
            raise ValueError(f"class {label} has no training image; its parts cannot be initialised")
        chosen.append(images[torch.randperm(len(images), generator=generator)[:limit]])
    return (_regions(model, features[images]) for images in chosen)


def _regions(model: PartClassifier, maps: Tensor) -> Tensor:
    maps = maps.to(model.centre.device, torch.promote_types(maps.dtype, torch.float32))
    return model.regions(maps).detach().cpu()


def _from_regions(method: str, regions: Iterator[Tensor], count: int, generator: torch.Generator) -> Tensor:
    if method == "class_regions":
        return torch.cat([_sample(r.flatten(0, 1), count, generator) for r in regions])
    if method == "kmeans":
        return torch.cat([_centres(r.flatten(0, 1), count, generator) for r in regions])
    every = list(regions)
    candidates = [_centres(r.flatten(0, 1), 3 * count, generator) for r in every]
    return _discriminative(every, candidates, count)


def _sample(rows: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Rows [count,d] drawn at random, with repetition only when there are too few."""
    order = torch.randperm(len(rows), generator=generator)
    return rows[order.repeat(-(-count // len(rows)))[:count]]


def _centres(rows: Tensor, count: int, generator: torch.Generator, limit: int = 4000) -> Tensor:
    """Centres [count,d] of k-means on at most ``limit`` rows; the rows themselves when there are so few."""
    if len(rows) <= count:
        return _sample(rows, count, generator)
    rows = _sample(rows, min(limit, len(rows)), generator)
    seed = int(torch.randint(2**31, (1,), generator=generator))
    rng = np.random.default_rng(seed)
    from scipy.cluster.vq import kmeans2  # loads SciPy, which other initialisations do not need

    centres, _ = kmeans2(rows.numpy(), count, iter=10, minit="++", missing="warn", seed=rng)
    return torch.from_numpy(centres)


def _discriminative(regions: list[Tensor], candidates: list[Tensor], count: int) -> Tensor:
    mean, covariance = _statistics(regions)
    directions = torch.linalg.solve(covariance, (torch.cat(candidates) - mean).T).T
    directions = normalise_rows(directions).split(len(candidates[0]))
    chosen = []
    for label, own in enumerate(directions):
        responses = torch.stack([(r @ own.T).amax(dim=1).mean(dim=0) for r in regions])
        others = torch.arange(len(regions)) != label
        margin = responses[label] - responses[others].mean(dim=0)
        chosen.append(own[margin.topk(count).indices])
    return torch.cat(chosen)


def _statistics(regions: list[Tensor], shrinkage: float = 0.1) -> tuple[Tensor, Tensor]:
    """Mean [d] of all regions and their within-class covariance [d,d], shrunk towards a multiple of I."""
    mean = torch.cat([r.flatten(0, 1) for r in regions]).mean(dim=0)
    centred = torch.cat([r.flatten(0, 1) - r.mean(dim=(0, 1)) for r in regions])
    covariance = centred.T @ centred / len(centred)
    scale = covariance.diagonal().mean()
    return mean, (1 - shrinkage) * covariance + shrinkage * scale * torch.eye(len(mean), dtype=mean.dtype)
