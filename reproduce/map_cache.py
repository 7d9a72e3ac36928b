"""Saliency maps on disk, one file a batch, so that further metrics need not compute them again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from dpnet.manifest import weights_hash
from opticam import Classifier
from opticam.data.files import load_tensors, save_tensors
from opticam.layers import layer_name
from reproduce.requests import Request


class MapKey(NamedTuple):
    """A batch's maps: where they belong, and a hash of all that they depend on."""

    network: str
    method: str
    digest: str


class MapCache:
    """Float32 maps [B,H,W] with the seconds an image they took, under `folder`/network/method/."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, key: MapKey) -> tuple[torch.Tensor, float] | None:
        """The maps and their seconds an image, or None; ValueError for a damaged file."""
        path = self._path(key)
        if not path.is_file():
            return None
        tensors, notes = load_tensors(path)
        return tensors["maps"], float(notes["seconds"])

    def save(self, key: MapKey, maps: torch.Tensor, seconds: float) -> None:
        """Write the maps, whole or not at all."""
        save_tensors(self._path(key), {"maps": maps.cpu()}, {"seconds": repr(seconds)})

    def _path(self, key: MapKey) -> Path:
        folders = (re.sub(r"[^\w.+-]+", "_", name).strip("_") for name in key[:2])
        return self.folder.joinpath(*folders) / f"{key.digest}.safetensors"


def classifier_digest(classifier: Classifier) -> str:
    """Hash of what a classifier's maps depend on: weights, pixel statistics and target layer."""
    layer = layer_name(classifier.network, classifier.target_layer)
    pixels = [classifier.mean.flatten().tolist(), classifier.std.flatten().tolist()]
    return _digest([weights_hash(classifier.network), layer, pixels, classifier.optimize])


def map_key(request: Request, classifier: str, images: str, names: Sequence[str]) -> MapKey:
    """The key of the maps of one batch: `classifier` is a `classifier_digest`, `images` says which set they are of."""
    facts = [classifier, images, repr(request.definition), list(names)]
    return MapKey(request.stored_network, request.method, _digest(facts))


def _digest(facts: list[object]) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
