"""Frozen feature maps on disk: the backbone runs once, training reads them through memory maps, in blocks."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from tqdm.auto import tqdm

from dpnet.data.manifest import DTYPES, MANIFEST_NAME, Manifest, read_manifest, write_manifest
from opticam.classifier import Classifier
from opticam.data.files import load_tensors, save_tensors

CHECKSUM = "crc32"  # the name of a note
LEAST_BLOCK = 64  # images; fewer would be no shuffling


class Pictures(Protocol):
    """A data set of (image [3,H,W] in [0,1], label) whose size is known."""

    def __len__(self) -> int:
        """Number of images N."""

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """One image and its label."""


class FeatureCache:
    """Feature maps and labels of one data set, read from a folder that `extract_features` filled.

    ``cache[indices]`` gives the maps [n,d,h,w] of an int64 tensor of image indices, in the stored dtype; only
    the pages that hold them are read. ``labels`` is int64 [N], as they were at the extraction. ``memory``: bytes that
    training may hold at a time, ``block_size`` the number of images that this is; None for both without a bound. Under
    one no shard stays mapped. Raises FileNotFoundError when the folder has no manifest or lacks a shard, ValueError
    when the manifest differs from the one ``expected``, a shard is damaged, or a shard and a batch do not fit into
    ``memory``.
    """

    def __init__(
        self, folder: str | Path, expected: Manifest | None = None, memory: int | None = None
    ) -> None:
        self._folder, self._bounded = Path(folder), memory is not None
        self._mapped: dict[int, dict[str, Tensor]] = {}
        self.manifest = read_manifest(self._folder)
        if expected is not None:
            self.manifest.require(expected, self._folder)
        shards = range(self.manifest.num_shards)
        self.labels = torch.cat([self._shard(shard, check=True)["labels"].clone() for shard in shards])
        like = self._shard(0)["features"]
        self.shape, self.dtype = (len(self.labels), *like.shape[1:]), like.dtype
        self.block_size = None if memory is None else self._images_in(memory, like[0].nbytes)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Feature maps [n,d,h,w] of the images with these indices, copied out of the memory maps."""
        out = torch.empty(len(indices), *self.shape[1:], dtype=self.dtype)
        shards, rows = indices // self.manifest.shard_size, indices % self.manifest.shard_size
        for shard in shards.unique().tolist():
            maps = self._shard(shard)["features"]
            for position in torch.nonzero(shards == shard).flatten().tolist():
                out[position] = maps[rows[position]]
        return out

    def _shard(self, shard: int, check: bool = False) -> dict[str, Tensor]:
        """A shard's tensors in a memory map, whose pages count as this process's until they are dropped."""
        if shard in self._mapped:
            return self._mapped[shard]
        tensors = _load_shard(self._folder, self.manifest, shard, check)
        if not self._bounded:
            self._mapped[shard] = tensors
        return tensors

    def _images_in(self, memory: int, nbytes: int) -> int:
        """How many images fit beside the pages of one shard, which are mapped while a block is read."""
        shard = min(self.manifest.shard_size, len(self)) * nbytes
        least = shard + LEAST_BLOCK * nbytes
        if memory < least:
            raise ValueError(f"memory is {memory:,} bytes; these maps need at least {least:,}")
        return (memory - shard) // nbytes


def extract_features(
    classifier: Classifier,
    dataset: Pictures,
    folder: str | Path,
    manifest: Manifest,
    *,
    batch_size: int = 32,
    workers: int = 0,
    memory: int | None = None,
    progress: bool = False,
) -> FeatureCache:
    """Keep the maps of one layer of the frozen backbone, as `extract_layers` does, and open the cache.

    ``manifest`` comes from `dpnet.data.manifest.describe`; ``memory`` as in `FeatureCache`.
    """
    folders = {Path(folder): manifest}
    extract_layers(classifier, dataset, folders, batch_size=batch_size, workers=workers, progress=progress)
    return FeatureCache(folder, manifest, memory)


def extract_layers(
    classifier: Classifier,
    dataset: Pictures,
    folders: Mapping[Path, Manifest],
    *,
    batch_size: int = 32,
    workers: int = 0,
    progress: bool = False,
) -> None:
    """Run the frozen backbone over a data set of (image [3,H,W] in [0,1], label) once; each folder gets the maps of the
    layer that its manifest names.

    Shards already in a folder are kept, so an interrupted call goes on where it stopped; each shard appears
    under its name only when complete. ``workers`` processes read the pictures, this one where 0.
    Raises ValueError when a folder holds features of something else, the data set has another length, the manifests
    cut it differently, or ``workers`` is negative.
    """
    if workers < 0:
        raise ValueError(f"workers is {workers}; it must be at least 0")
    cuts = {(manifest.num_images, manifest.shard_size) for manifest in folders.values()}
    if len(cuts) > 1:
        raise ValueError(
            f"folders: the manifests have different numbers of images or shard sizes: {sorted(cuts)}"
        )
    missing: dict[int, dict[Path, Manifest]] = {}
    for folder, manifest in folders.items():
        _claim_folder(folder, manifest, len(dataset))
        for shard in range(manifest.num_shards):
            if not (folder / manifest.shard_name(shard)).exists():
                missing.setdefault(shard, {})[folder] = manifest
    bar = tqdm(sorted(missing), desc="features", unit="shard", disable=not progress or not missing)
    for shard in bar:
        indices = next(iter(missing[shard].values())).shard_indices(shard)
        images: Subset[tuple[Tensor, int]] = Subset(dataset, indices)  # type: ignore[arg-type]  # reads items alone
        loader = DataLoader(images, batch_size=batch_size, num_workers=workers)
        _write_shards(classifier, loader, missing[shard], shard)


def _claim_folder(folder: Path, manifest: Manifest, count: int) -> None:
    """Put the manifest into a new folder; in an old one it must be the same."""
    if count != manifest.num_images:
        raise ValueError(f"dataset has {count} images; the manifest names {manifest.num_images}")
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / MANIFEST_NAME).exists():
        read_manifest(folder).require(manifest, folder)
    else:
        write_manifest(folder, manifest)


def _write_shards(
    classifier: Classifier,
    loader: DataLoader[tuple[Tensor, int]],
    folders: Mapping[Path, Manifest],
    shard: int,
) -> None:
    """Write one shard into each folder, from one pass."""
    device, layers = classifier.mean.device, [manifest.layer for manifest in folders.values()]
    maps: dict[Path, list[Tensor]] = {folder: [] for folder in folders}
    labels = []
    for images, classes in loader:
        found, _ = classifier.features_of(images.to(device), layers)
        for (folder, manifest), features in zip(folders.items(), found):
            maps[folder].append(features.to(DTYPES[manifest.dtype]).cpu())
        labels.append(torch.as_tensor(classes))
    for folder, manifest in folders.items():
        tensors = {"features": torch.cat(maps.pop(folder)), "labels": torch.cat(labels).long()}
        save_tensors(folder / manifest.shard_name(shard), tensors, {CHECKSUM: _checksum(tensors)})


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    """CRC-32 of names and values, as 8 hexadecimal digits: as fast as they can be read."""
    value = 0
    for name in sorted(tensors):
        value = zlib.crc32(name.encode(), value)
        value = zlib.crc32(tensors[name].flatten().view(torch.uint8).numpy().data, value)
    return f"{value:08x}"


def _load_shard(folder: Path, manifest: Manifest, shard: int, check: bool) -> dict[str, Tensor]:
    """A shard of as many images as the manifest says; ``check``: with the checksum, if it has one, of its values."""
    path = folder / manifest.shard_name(shard)
    if not path.exists():
        raise FileNotFoundError(f"feature cache {folder} lacks {path.name}: run the extraction again")
    tensors, notes = load_tensors(path)
    if check and CHECKSUM in notes and notes[CHECKSUM] != _checksum(tensors):  # older ones say nothing
        raise ValueError(
            f"cache file {path} is damaged (its {CHECKSUM} is another); delete it to have it made again"
        )
    if len(tensors["labels"]) != len(manifest.shard_indices(shard)):
        raise ValueError(f"{path} holds {len(tensors['labels'])} images; the manifest says otherwise")
    return tensors
