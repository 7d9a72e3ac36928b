"""Pictures of DP-Net's data sets, drawn or in folders, and their frozen features."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Subset

from dpnet import cell_grid, describe
from dpnet.data.blocks import Features
from dpnet.data.features import FeatureCache, extract_layers
from dpnet.data.geometry import size_of
from dpnet.data.leakage import combined_hash, labels_hash
from dpnet.data.manifest import DTYPES, Manifest, short_hash
from dpnet.data.pictures import PictureData, PictureSet
from dpnet.data.sources import DataSource, picture_hashes
from dpnet.training.settings import PRECISIONS
from opticam import Classifier
from opticam.layers import layer_name
from opticam.sample import SampleSet, sample_set
from opticam.sample.pictures import SPLITS, VARIANTS, sample_fingerprint
from reproduce.workspace.profile import PICTURE_SIZE
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


def picture_count(workspace: Workspace, dataset: str, split: str) -> int:
    """How many pictures of a split are used: all, or as many training pictures as the profile takes."""
    available, limit = len(dataset_split(workspace, dataset, split)), workspace.parts.train_images
    return min(available, limit) if split == "train" and limit else available


def extract(workspace: Workspace, dataset: str, backbone: str, split: str) -> None:
    """Put on disk what `layer_features` reads of all `layers`, unless it is there.

    Of the training pictures the first ones are used; drawn ones are ordered class by class in turn, so every class
    keeps the same share. The maps are computed in the profile's precision.
    """
    read = layers(workspace, backbone)
    folders = dict(_extraction(workspace, dataset, backbone, layer, split) for layer in read)
    images = Subset(dataset_split(workspace, dataset, split), range(picture_count(workspace, dataset, split)))
    classifier, workers = _extractor(workspace, backbone, read[0]), workspace.parts_input.workers
    extract_layers(classifier, images, folders, workers=workers, progress=workspace.progress)


@lru_cache(maxsize=4)
def layer_features(
    workspace: Workspace, dataset: str, backbone: str, layer: str, split: str
) -> tuple[Features, torch.Tensor]:
    """Feature maps [N,d,h,w] of a layer of the frozen backbone and labels [N], as `extract` has kept them.

    The maps have the profile's precision; float64 ones are kept as float32. They are in memory, where its bound does
    not make them stay on disk. Raises FileNotFoundError where there are none.
    """
    folder, manifest = _extraction(workspace, dataset, backbone, layer, split)
    cache = FeatureCache(folder, manifest, workspace.parts_input.memory)
    labels = dataset_split(workspace, dataset, split).labels[
        : len(cache)
    ]  # the cache's are of when it was made
    if cache.block_size is not None and cache.block_size < len(cache):
        return cache, labels
    maps = cache[torch.arange(manifest.num_images)]
    return maps.to(PRECISIONS[workspace.parts.precision]), labels


def is_extracted(workspace: Workspace, dataset: str, backbone: str, layer: str, split: str) -> bool:
    """Whether `layer_features` has something to read."""
    folder, manifest = _extraction(workspace, dataset, backbone, layer, split)
    return all((folder / manifest.shard_name(shard)).exists() for shard in range(manifest.num_shards))


def _extractor(workspace: Workspace, backbone: str, layer: str) -> Classifier:
    """The network that extracts, in the profile's precision where that is float64."""
    classifier = part_backbone(workspace, backbone, layer)
    return classifier.in_float64() if workspace.parts.precision == "float64" else classifier


@lru_cache(maxsize=64)
def _extraction(
    workspace: Workspace, dataset: str, backbone: str, layer: str, split: str
) -> tuple[Path, Manifest]:
    """The folder of the maps, and what they are of. Kept: every model asks, and the network is loaded to say it."""
    count, precision = picture_count(workspace, dataset, split), workspace.parts.precision
    manifest = describe(
        _extractor(workspace, backbone, layer),
        network=backbone,
        image_size=image_size(workspace, dataset),
        dataset=f"{dataset}/{split}",
        dataset_hash=combined_hash(_hashes(workspace, dataset, split)[:count]),
        num_images=count,
        dtype=precision if precision in DTYPES else "float32",
    )
    folder = workspace.cache / "features" / f"{dataset}-{split}-{backbone}-{short_hash(manifest)}"
    return folder, manifest


@lru_cache(maxsize=16)
@torch.no_grad()
def map_size(workspace: Workspace, dataset: str, backbone: str, layer: str) -> tuple[int, int]:
    """Rows and columns of the layer's maps on a data set's pictures."""
    image = torch.zeros(1, 3, *image_size(workspace, dataset))
    maps = part_backbone(workspace, backbone, layer).features(image.to(workspace.device))
    return size_of(maps)


@lru_cache(maxsize=8)
def grid(workspace: Workspace, backbone: str, layer: str, image_size: tuple[int, int]) -> torch.Tensor:
    """Where the cells of the layer's maps are centred, see `dpnet.data.geometry.cell_grid`."""
    return cell_grid(part_backbone(workspace, backbone, layer), image_size)


def image_size(workspace: Workspace, dataset: str) -> tuple[int, int]:
    """Height and width of a data set's pictures, as the backbone sees them."""
    return size_of(dataset_split(workspace, dataset, "test")[0][0])


@lru_cache(maxsize=8)
def dataset_split(workspace: Workspace, dataset: str, split: str) -> SampleSet | PictureSet:
    """Images and labels of a data set of the profile; of drawn ones boxes and true parts, too.

    Raises ValueError for a data set without a folder, and as `DataSource.open` does. Training pictures that are also
    test pictures are left out.
    """
    if workspace.parts.source == "sample":
        return sample_set(
            dataset, split, workspace.cache, per_class=_drawn_per_class(workspace, dataset, split)
        )
    data = _folder_data(workspace, dataset)
    return data.train if split == "train" else data.test


def _drawn_per_class(workspace: Workspace, dataset: str, split: str) -> int:
    """Pictures to draw of each class of a sample data set: of the training pictures no more than are used."""
    variant, limit = VARIANTS[dataset], workspace.parts.train_images
    whole = variant.per_class[SPLITS.index(split)]
    return min(whole, math.ceil(limit / len(variant.class_parts))) if split == "train" and limit else whole


def pictures_digest(workspace: Workspace, dataset: str) -> list[str]:
    """What changes with a data set's pictures and labels; of drawn ones with those of all in the profile."""
    parts = workspace.parts
    if parts.source == "sample":
        return [sample_fingerprint(name, split) for name in parts.datasets for split in SPLITS]
    digests = [combined_hash(_hashes(workspace, dataset, split)) for split in SPLITS]
    digests += [labels_hash(dataset_split(workspace, dataset, split).labels) for split in SPLITS]
    # Of the usual size nothing is said: what was chosen before there was another stays found.
    return digests if parts.picture_size == PICTURE_SIZE else [*digests, f"{parts.picture_size} pixels"]


@lru_cache(maxsize=4)
def _folder_data(workspace: Workspace, dataset: str) -> PictureData:
    folders = workspace.parts_input.data
    if dataset not in folders:
        raise ValueError(
            f"parts-data: the profile {workspace.profile.name!r} needs --parts-data {dataset}=DIR"
        )
    source = DataSource(str(folders[dataset]), size=workspace.parts.picture_size, drop_shared=True)
    return source.open(workspace.cache)


@lru_cache(maxsize=8)
def _hashes(workspace: Workspace, dataset: str, split: str) -> list[str]:
    """A hash of each picture's content."""
    return picture_hashes(dataset_split(workspace, dataset, split))
