"""Opti-CAM Figure 2: maps of every method beside the image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from matplotlib.figure import Figure

from opticam import METHODS
from opticam.data.files import load_tensors, save_tensors
from opticam.plotting import map_grid
from reproduce.experiments.opticam.saliency_experiment import SaliencyExperiment
from reproduce.saliency.evaluation import evaluated
from reproduce.saliency.explained_batch import Evaluated
from reproduce.saliency.requests import Request
from reproduce.workspace.processes import is_first
from reproduce.workspace.workspace import Workspace

DATA = "figures-data"
"""Folder, in the results, of what figures of maps are drawn from."""


class MapsFigure(SaliencyExperiment):
    """The first images of the profile, one figure for each network, one column for each method.

    images: how many at most.
    """

    name = "opticam-maps"
    title = "Figure 2: maps of every method on the same images"
    drawing = 3.0
    images = 6

    def run(self, workspace: Workspace) -> None:
        """Keep the maps of the first images beside the store; one process does it."""
        if not is_first():
            return
        for network in self.networks(workspace):
            requests = [self.request(workspace, network, method) for method in workspace.methods(network)]
            requests = [request for request in requests if request.images]
            counts = self.shown(requests)
            path, digest = self._path(workspace, network), self._digest(workspace, requests, counts)
            if not path.exists() or load_tensors(path)[1].get("digest") != digest:
                found = list(evaluated(workspace, requests, counts))
                if found:
                    save_tensors(path, self.kept(found), {"digest": digest})

    def shown(self, requests: Sequence[Request]) -> list[int]:
        """Of how many images each method's maps are shown: as many for all."""
        counts = [request.images for request in requests if request.images is not None]
        return [min(self.images, *counts)] * len(requests)

    def forget(self, workspace: Workspace) -> None:
        """Delete the kept pictures; the maps themselves belong to the tables."""
        for network in self.networks(workspace):
            self._path(workspace, network).unlink(missing_ok=True)

    def figures(self, workspace: Workspace) -> Mapping[str, Figure]:
        """One grid for each network."""
        return {
            f"opticam_maps_{network}": _figure(workspace, network, stored)
            for network, stored in self.stored(workspace).items()
        }

    def stored(self, workspace: Workspace) -> dict[str, dict[str, torch.Tensor]]:
        """What `kept` made, by network."""
        paths = {network: self._path(workspace, network) for network in self.networks(workspace)}
        return {network: load_tensors(path)[0] for network, path in paths.items() if path.exists()}

    def kept(self, found: Sequence[Evaluated]) -> dict[str, torch.Tensor]:
        """What the figure is drawn of: the images, their classes and the maps by method."""
        maps = {given.request.method: given.maps.cpu() for given in found}
        return {"images": found[0].batch.images.cpu(), "labels": found[0].batch.labels.cpu(), **maps}

    @staticmethod
    def _path(workspace: Workspace, network: str) -> Path:
        return workspace.results / DATA / f"maps-{network}.safetensors"

    @staticmethod
    def _digest(workspace: Workspace, requests: list[Request], counts: list[int]) -> str:
        """Changes with anything that the figure's maps depend on."""
        network = workspace.digest(requests[0].network)
        keys = [request.map_key(network, workspace.picture_set, "").digest for request in requests]
        return " ".join([*map(str, counts), *keys])


def _figure(workspace: Workspace, network: str, stored: dict[str, torch.Tensor]) -> Figure:
    names = workspace.source.class_names
    rows = [names[label] if names else f"class {label}" for label in stored["labels"].tolist()]
    maps = {method: stored[method] for method in METHODS if method in stored}
    return map_grid(stored["images"], maps, rows, f"Maps of {network}")
