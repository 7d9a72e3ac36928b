"""Opti-CAM Figure 2: maps of every method beside the image."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from matplotlib.figure import Figure

from opticam import METHODS
from opticam.data.files import load_tensors, save_tensors
from opticam.plotting import map_grid
from reproduce.evaluation import batches, evaluated
from reproduce.experiments.saliency_experiment import SaliencyExperiment, plain_methods
from reproduce.workspace import Workspace

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
        if int(os.environ.get("RANK", 0)):
            return
        for network in self.networks(workspace):
            wanted = plain_methods(workspace, network)
            path = self._path(workspace, network)
            if not path.exists() or not set(wanted) <= set(load_tensors(path)[0]):
                pictures = self._pictures(workspace, network, wanted)
                if pictures:
                    save_tensors(path, pictures, {"network": network})

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
        count = min(IMAGES, len(workspace.source.names))
        return workspace.results / "figures-data" / f"maps-{network}-{count}.safetensors"

    def _pictures(self, workspace: Workspace, network: str, methods: list[str]) -> dict[str, torch.Tensor]:
        """The first images, their classes and the maps of all methods, from the cache where they are in it."""
        requests = [self.request(workspace, network, method) for method in methods]
        found = list(evaluated(workspace, requests, batches(workspace)[0]))
        if not found:
            return {}
        maps = {given.request.method: given.maps[:IMAGES].cpu() for given in found}
        batch = found[0].batch
        return {"images": batch.images[:IMAGES].cpu(), "labels": batch.labels[:IMAGES].cpu(), **maps}


def _figure(workspace: Workspace, network: str, stored: dict[str, torch.Tensor]) -> Figure:
    images, labels = stored.pop("images"), stored.pop("labels")
    names = workspace.source.class_names
    rows = [names[label] if names else f"class {label}" for label in labels.tolist()]
    order = [method for method in METHODS if method in stored]
    return map_grid(images, {method: stored[method] for method in order}, rows, f"Maps of {network}")
