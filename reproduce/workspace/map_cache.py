"""Saliency maps on disk, one file per batch, so that further metrics need not compute them again."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch

from dpnet.data.manifest import weights_hash
from opticam import Classifier
from opticam.data.files import load_notes, load_tensors, save_tensors
from opticam.layers import layer_name


class MapKey(NamedTuple):
    """A batch's maps: where they belong, and a hash of all that they depend on."""

    network: str
    method: str
    digest: str


class MapCache:
    """Float32 maps [B,H,W] with the seconds per image they took, under `folder`/network/method/."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def load(self, key: MapKey, names: Sequence[str]) -> tuple[torch.Tensor, float] | None:
        """The maps of the images `names` and their seconds per image; None where one of them is not kept.

        Raises ValueError for a damaged file.
        """
        path = self._path(key)
        if not path.is_file():
            return None
        tensors, notes = load_tensors(path)
        places = {name: place for place, name in enumerate(json.loads(notes["names"]))}
        if not places.keys() >= set(names):
            return None
        return tensors["maps"][[places[name] for name in names]], float(notes["seconds"])

    def save(self, key: MapKey, names: Sequence[str], maps: torch.Tensor, seconds: float) -> None:
        """Write the maps of the images `names`, whole or not at all, in place of what was there."""
        notes = {"seconds": repr(seconds), "names": json.dumps(list(names))}
        save_tensors(self._path(key), {"maps": maps.cpu()}, notes)

    def forget(self, network: str, method: str, names: Sequence[str]) -> None:
        """Delete the files of a method on a network that hold any of the images `names`, or are damaged."""
        unwanted = set(names)
        for path in self._home(network, method).glob("*.safetensors"):
            try:
                kept = json.loads(load_notes(path)["names"])
            except ValueError:
                kept = names
            if not unwanted.isdisjoint(kept):
                path.unlink(missing_ok=True)

    def _path(self, key: MapKey) -> Path:
        return self._home(key.network, key.method) / f"{key.digest}.safetensors"

    def _home(self, *labels: str) -> Path:
        return self.folder.joinpath(*(re.sub(r"[^\w.+-]+", "_", label).strip("_") for label in labels))


def classifier_digest(classifier: Classifier) -> str:
    """Hash of what a classifier's maps depend on: weights, pixel statistics, target layer and level."""
    layer = layer_name(classifier.network, classifier.target_layer)
    pixels = [classifier.mean.flatten().tolist(), classifier.std.flatten().tolist()]
    return facts_digest([weights_hash(classifier.network), layer, pixels, classifier.optimize])


def facts_digest(facts: Sequence[object]) -> str:
    """Hash of facts that JSON can hold."""
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]
