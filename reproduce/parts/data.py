"""Frozen features of DP-Net's sample data, and where the true parts lie in its pictures."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Subset

from dpnet import cell_grid, describe, extract_features
from dpnet.features import FeatureCache
from dpnet.geometry import size_of
from dpnet.manifest import Manifest, short_hash
from dpnet.settings import PRECISIONS
from opticam import Classifier
from opticam.layers import layer_name
from opticam.sample import SampleSet, sample_set
from reproduce.workspace.workspace import Workspace


def layers(workspace: Workspace, backbone: str) -> tuple[str, ...]:
    """Names of the layers whose maps both methods may choose from; by default the papers' layer alone."""
    classifier = workspace.classifier(backbone)
    own = layer_name(classifier.network, classifier.target_layer)
    return tuple(workspace.parts.layers.get(backbone, (own,)))


def part_backbone(workspace: Workspace, backbone: str, layer: str) -> Classifier:
    """The frozen network with another target layer."""
    classifier = workspace.classifier(backbone)
    statistics: dict[str, Any] = {
        "mean": classifier.mean.flatten().tolist(),
        "std": classifier.std.flatten().tolist(),
    }
    return Classifier(classifier.network, layer, **statistics).to(workspace.device)


def extract_layer(workspace: Workspace, dataset: str, backbone: str, layer: str, split: str) -> None:
    """Put on disk what `layer_features` reads, unless it is there.

    Of the training pictures the profile's number is used, the first ones; they are ordered class by class in
    turn, so every class keeps the same share. The maps are computed in the profile's precision.
    """
    classifier, folder, manifest = _extraction(workspace, dataset, backbone, layer, split)
    images = Subset(dataset_split(workspace, dataset, split), range(manifest.num_images))
    extract_features(classifier, images, folder, manifest, progress=workspace.progress)


@lru_cache(maxsize=4)
def layer_features(
    workspace: Workspace, dataset: str, backbone: str, layer: str, split: str
) -> tuple[torch.Tensor, torch.Tensor]:
    """Feature maps [N,d,h,w] of a layer of the frozen backbone and labels [N], as `extract_layer` has kept them.

    The maps have the profile's precision; they are kept as float32. Raises FileNotFoundError where they are not.
    """
    _, folder, manifest = _extraction(workspace, dataset, backbone, layer, split)
    cache = FeatureCache(folder, manifest)
    maps = cache[torch.arange(manifest.num_images)]
    return maps.to(PRECISIONS[workspace.parts.precision]), cache.labels


def is_extracted(workspace: Workspace, dataset: str, backbone: str, layer: str, split: str) -> bool:
    """Whether `layer_features` has something to read."""
    _, folder, manifest = _extraction(workspace, dataset, backbone, layer, split)
    return all((folder / manifest.shard_name(shard)).exists() for shard in range(manifest.num_shards))


def _extraction(
    workspace: Workspace, dataset: str, backbone: str, layer: str, split: str
) -> tuple[Classifier, Path, Manifest]:
    """The network that extracts, the folder of the maps, and what they are of."""
    data = dataset_split(workspace, dataset, split)
    count = len(data) if split == "test" else min(len(data), workspace.parts.train_images)
    classifier = part_backbone(workspace, backbone, layer)
    if workspace.parts.precision == "float64":
        classifier = classifier.in_float64()
    manifest = describe(
        classifier,
        network=backbone,
        image_size=size_of(data.images),
        dataset=f"{dataset}/{split}",
        dataset_hash=hashlib.sha256(data.images[:count].numpy().tobytes()).hexdigest()[:16],
        num_images=count,
        dtype="float32",
    )
    folder = workspace.cache / "features" / f"{dataset}-{split}-{backbone}-{short_hash(manifest)}"
    return classifier, folder, manifest


@lru_cache(maxsize=16)
@torch.no_grad()
def map_size(workspace: Workspace, dataset: str, backbone: str, layer: str) -> tuple[int, int]:
    """Rows and columns of the layer's maps on a data set's pictures."""
    image = torch.zeros(1, 3, *dataset_split(workspace, dataset, "test").images.shape[-2:])
    maps = part_backbone(workspace, backbone, layer).features(image.to(workspace.device))
    return size_of(maps)


@lru_cache(maxsize=8)
def grid(workspace: Workspace, backbone: str, layer: str, image_size: tuple[int, int]) -> torch.Tensor:
    """Where the cells of the layer's maps are centred, see `dpnet.geometry.cell_grid`."""
    return cell_grid(part_backbone(workspace, backbone, layer), image_size)


@lru_cache(maxsize=8)
def dataset_split(workspace: Workspace, dataset: str, split: str) -> SampleSet:
    """Images and annotations of a data set of the profile."""
    return sample_set(dataset, split, workspace.cache)
