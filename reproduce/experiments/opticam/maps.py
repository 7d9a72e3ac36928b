"""Opti-CAM Figure 2: maps of every method beside the image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.figure import Figure

from opticam import METHODS
from opticam.data.files import load_tensors, save_tensors
from opticam.plotting import map_grid
from reproduce.experiments.opticam.saliency_experiment import SaliencyExperiment
from reproduce.saliency.evaluation import batches, evaluated
from reproduce.saliency.requests import Request
from reproduce.workspace.processes import is_first
from reproduce.workspace.workspace import Workspace

IMAGES = 6


class MapsFigure(SaliencyExperiment):
    """The first images of the profile, one figure a network, one column a method."""

    name = "opticam-maps"
    title = "Figure 2: maps of every method on the same images"

    def networks(self, workspace: Workspace) -> dict[str, str]:
        """All networks of the profile."""
        return dict(workspace.profile.saliency.networks)

    def run(self, workspace: Workspace) -> None:
        """Keep the maps of the first images beside the store; one process does it."""
        if not is_first():
            return
        for network in self.networks(workspace):
            requests = [self.request(workspace, network, method) for method in workspace.methods(network)]
            requests = [request for request in requests if request.images]
            count = min(IMAGES, *(request.images for request in requests))
            path, digest = self._path(workspace, network), self._digest(workspace, requests, count)
            if not path.exists() or load_tensors(path)[1].get("digest") != digest:
                pictures = _pictures(workspace, requests, batches(workspace)[0][:count])
                if pictures:
                    save_tensors(path, pictures, {"digest": digest})

    def forget(self, workspace: Workspace) -> None:
        """Delete the kept pictures; the maps themselves belong to the tables."""
        for network in self.networks(workspace):
            self._path(workspace, network).unlink(missing_ok=True)

    def figures(self, workspace: Workspace) -> Mapping[str, Figure]:
        """One grid a network."""
        figures = {}
        for network in self.networks(workspace):
            path = self._path(workspace, network)
            if path.exists():
                figures[f"opticam_maps_{network}"] = _figure(workspace, network, load_tensors(path)[0])
        return figures

    @staticmethod
    def _path(workspace: Workspace, network: str) -> Path:
        return workspace.results / "figures-data" / f"maps-{network}.safetensors"

    @staticmethod
    def _digest(workspace: Workspace, requests: list[Request], count: int) -> str:
        """Changes with anything that the figure's maps depend on."""
        network = workspace.digest(requests[0].network)
        keys = [request.map_key(network, workspace.picture_set, "").digest for request in requests]
        return " ".join([str(count), *keys])


def _pictures(workspace: Workspace, requests: list[Request], indices: range) -> dict[str, torch.Tensor]:
    """Some images, their classes and the maps of all methods, from the cache where they are in it."""
    found = list(evaluated(workspace, requests, indices))
    if not found:
        return {}
    maps = {given.request.method: given.maps.cpu() for given in found}
    return {"images": found[0].batch.images.cpu(), "labels": found[0].batch.labels.cpu(), **maps}


def _figure(workspace: Workspace, network: str, stored: dict[str, torch.Tensor]) -> Figure:
    images, labels = stored.pop("images"), stored.pop("labels")
    names = workspace.source.class_names
    rows = [names[label] if names else f"class {label}" for label in labels.tolist()]
    order = [method for method in METHODS if method in stored]
    return map_grid(images, {method: stored[method] for method in order}, rows, f"Maps of {network}")
