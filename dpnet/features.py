"""Frozen feature maps on disk: the backbone runs once, training reads them through memory maps."""

from __future__ import annotations

from bisect import bisect_right
from itertools import accumulate
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset
from tqdm.auto import tqdm

from dpnet.manifest import DTYPES, MANIFEST_NAME, Manifest, read_manifest, write_manifest
from opticam.classifier import Classifier
from opticam.data.files import load_tensors, save_tensors


class Pictures(Protocol):
    """A data set of (image [3,H,W] in [0,1], label) whose size is known."""

    def __len__(self) -> int:
        """Number of images N."""

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        """One image and its label."""


class FeatureCache:
    """Feature maps and labels of one data set, read from a folder that `extract_features` filled.

    ``cache[indices]`` gives the maps [n,d,h,w] of an int64 tensor of image indices, in the stored dtype; only
    the pages that hold them are read. ``labels`` is int64 [N]. Raises FileNotFoundError when the folder has
    no manifest or lacks a shard, ValueError when the manifest differs from the one ``expected``.
    """

    def __init__(self, folder: str | Path, expected: Manifest | None = None) -> None:
        folder = Path(folder)
        self.manifest = read_manifest(folder)
        if expected is not None:
            self.manifest.require(expected, folder)
        shards = [_load_shard(folder, self.manifest, shard) for shard in range(self.manifest.num_shards)]
        self._maps = [shard["features"] for shard in shards]
        self.labels = torch.cat([shard["labels"] for shard in shards])
        self._starts = [0, *accumulate(len(maps) for maps in self._maps)]

    def __len__(self) -> int:
        return self._starts[-1]

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(N, d, h, w)."""
        return (len(self), *self._maps[0].shape[1:])

    def __getitem__(self, indices: Tensor) -> Tensor:
        """Feature maps [n,d,h,w] of the images with these indices, copied out of the memory maps."""
        out = torch.empty(len(indices), *self.shape[1:], dtype=self._maps[0].dtype)
        for position, index in enumerate(indices.tolist()):
            shard = bisect_right(self._starts, index) - 1
            out[position] = self._maps[shard][index - self._starts[shard]]
        return out


def extract_features(
    classifier: Classifier,
    dataset: Pictures,
    folder: str | Path,
    manifest: Manifest,
    *,
    batch_size: int = 32,
    workers: int = 0,
    progress: bool = False,
) -> FeatureCache:
    """Run the frozen backbone over a data set of (image [3,H,W] in [0,1], label) once, and open the cache.

    Shards already in the folder are kept, so an interrupted call goes on where it stopped; each shard appears
    under its name only when complete. ``manifest`` comes from `dpnet.manifest.describe`.
    Raises ValueError when the folder holds features of something else, or the data set has another length.
    """
    folder = Path(folder)
    if len(dataset) != manifest.num_images:
        raise ValueError(f"dataset has {len(dataset)} images; the manifest names {manifest.num_images}")
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / MANIFEST_NAME).exists():
        read_manifest(folder).require(manifest, folder)
    else:
        write_manifest(folder, manifest)
    missing = [s for s in range(manifest.num_shards) if not (folder / manifest.shard_name(s)).exists()]
    for shard in tqdm(missing, desc="features", unit="shard", disable=not progress):
        indices = manifest.shard_indices(shard)
        images: Subset[tuple[Tensor, int]] = Subset(dataset, indices)  # type: ignore[arg-type]  # reads items alone
        loader = DataLoader(images, batch_size=batch_size, num_workers=workers)
        _write_shard(folder / manifest.shard_name(shard), classifier, loader, DTYPES[manifest.dtype])
    return FeatureCache(folder, manifest)


def _write_shard(
    path: Path, classifier: Classifier, loader: DataLoader[tuple[Tensor, int]], dtype: torch.dtype
) -> None:
    device = classifier.mean.device
    maps, labels = [], []
    for images, classes in loader:
        maps.append(classifier.features(images.to(device)).to(dtype).cpu())
        labels.append(torch.as_tensor(classes))
    save_tensors(path, {"features": torch.cat(maps), "labels": torch.cat(labels).long()})


def _load_shard(folder: Path, manifest: Manifest, shard: int) -> dict[str, Tensor]:
    path = folder / manifest.shard_name(shard)
    if not path.exists():
        raise FileNotFoundError(f"feature cache {folder} lacks {path.name}: run the extraction again")
    tensors, _ = load_tensors(path)
    if len(tensors["labels"]) != len(manifest.shard_indices(shard)):
        raise ValueError(f"{path} holds {len(tensors['labels'])} images; the manifest says otherwise")
    return tensors
