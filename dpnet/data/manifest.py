"""What a folder of cached features was made from, so that it is never taken for something else."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import nn

from opticam.classifier import Classifier
from opticam.data.files import write_text
from opticam.layers import layer_name

MANIFEST_NAME = "manifest.json"
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Shown for the reader; another release of a library, or another name of the same pictures, changes no feature.
NOT_COMPARED = ("versions", "dataset")


@dataclass(frozen=True)
class Manifest:
    """The network, layer, images and storage of a feature cache.

    ``dataset`` is the pictures' name, ``dataset_hash`` says which they are, and ``split`` and ``resize`` how they were
    taken of their data set.
    """

    network: str
    weights_hash: str
    layer: str
    image_size: tuple[int, int]
    pixel_statistics: tuple[tuple[float, ...], tuple[float, ...]]
    dataset: str
    dataset_hash: str
    num_images: int
    split: str = ""
    resize: str = ""
    dtype: str = "bfloat16"
    shard_size: int = 1024
    versions: dict[str, str] | None = None

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype is {self.dtype!r}; accepted: {', '.join(DTYPES)}")
        if self.num_images < 1 or self.shard_size < 1:
            raise ValueError(
                f"num_images {self.num_images} and shard_size {self.shard_size} must be positive"
            )

    @property
    def num_shards(self) -> int:
        """How many shards hold all images."""
        return -(-self.num_images // self.shard_size)

    def shard_name(self, shard: int) -> str:
        """File name of a shard."""
        return f"features-{shard:05d}.safetensors"

    def shard_indices(self, shard: int) -> range:
        """Indices of the images in a shard."""
        return range(shard * self.shard_size, min((shard + 1) * self.shard_size, self.num_images))

    def facts(self) -> dict[str, Any]:
        """All that makes the features what they are, as it looks after a round trip through JSON: tuples are lists."""
        kept = {name: value for name, value in asdict(self).items() if name not in NOT_COMPARED}
        plain: dict[str, Any] = json.loads(json.dumps(kept))
        return plain

    def require(self, expected: Manifest, folder: Path) -> None:
        """Raise ValueError, naming what differs, unless this manifest describes the same features."""
        now = expected.facts()
        for name, value in self.facts().items():
            if value != now[name]:
                raise ValueError(
                    f"feature cache {folder} was made with {name} {value!r}, now it is {now[name]!r}: "
                    "give another folder or remove this one"
                )


def describe(
    classifier: Classifier,
    *,
    network: str,
    image_size: tuple[int, int],
    dataset: str,
    dataset_hash: str,
    num_images: int,
    split: str = "",
    resize: str = "",
    dtype: str = "bfloat16",
    shard_size: int = 1024,
) -> Manifest:
    """The manifest of the features that this backbone gives on these images at this size (H, W)."""
    mean, std = (tuple(round(v, 6) for v in s.flatten().tolist()) for s in (classifier.mean, classifier.std))
    height, width = image_size
    return Manifest(
        network=network,
        weights_hash=weights_hash(classifier.network),
        layer=layer_name(classifier.network, classifier.target_layer),
        image_size=(height, width),
        pixel_statistics=(mean, std),
        dataset=dataset,
        dataset_hash=dataset_hash,
        num_images=num_images,
        split=split,
        resize=resize,
        dtype=dtype,
        shard_size=shard_size,
        versions={"torch": torch.__version__, "torchvision": version("torchvision")},
    )


def short_hash(manifest: Manifest) -> str:
    """Eight hexadecimal digits that change with anything that makes the features another thing."""
    return hashlib.sha256(json.dumps(manifest.facts(), sort_keys=True).encode()).hexdigest()[:8]


def weights_hash(network: nn.Module) -> str:
    """SHA-256 over the names and values of all parameters and buffers, first 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Write a manifest into a folder, complete or not at all."""
    write_text(folder / MANIFEST_NAME, json.dumps(asdict(manifest), indent=2) + "\n")


def read_manifest(folder: str | Path) -> Manifest:
    """The manifest of a cache folder; FileNotFoundError without one, ValueError when it cannot be read."""
    path = Path(folder) / MANIFEST_NAME
    if not path.is_file():
        raise FileNotFoundError(f"feature cache: there is no {path}")
    try:
        return Manifest(**json.loads(path.read_text(encoding="utf-8")))
    except (TypeError, ValueError) as error:
        raise ValueError(f"feature cache: {path} cannot be read: {error}") from None
