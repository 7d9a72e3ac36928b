"""Opti-CAM Figure 2: maps of every method beside the image."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
import torch
from matplotlib.figure import Figure

from opticam.plotting import map_grid
from reproduce.experiments.base import Experiment
from reproduce.experiments.opticam_main import MainTable
from reproduce.profile import Profile
from reproduce.sources import load_batch
from reproduce.workspace import Workspace

IMAGES = 6


class MapsFigure(Experiment):
    """The first images of the profile, one figure a network, one column a method."""

    name = "opticam-maps"
    paper = "Opti-CAM"
    title = "Figure 2: maps of every method on the same images"

    def applies(self, profile: Profile) -> bool:
        """Wherever there are images and networks to explain."""
        return profile.saliency is not None

    def run(self, workspace: Workspace) -> None:
        """Compute the maps once and keep them beside the store."""
        for network in workspace.profile.saliency.networks:
            path = self._path(workspace, network)
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                partial = path.with_suffix(".partial")
                safetensors.torch.save_file(self._compute(workspace, network), partial)
                partial.replace(path)

    def forget(self, workspace: Workspace) -> None:
        """Delete the stored maps."""
        for network in workspace.profile.saliency.networks:
            self._path(workspace, network).unlink(missing_ok=True)

    def figures(self, workspace: Workspace) -> Mapping[str, Figure]:
        """One grid a network."""
        figures = {}
        for network in workspace.profile.saliency.networks:
            path = self._path(workspace, network)
            if not path.exists():
                continue
            stored = safetensors.torch.load_file(path)
            images, labels = stored.pop("images"), stored.pop("labels")
            names = workspace.source.class_names
            rows = [names[label] if names else f"class {label}" for label in labels.tolist()]
            methods = [r.method for r in MainTable().requests(workspace) if r.network == network]
            maps = {method: stored[method] for method in methods if method in stored}
            figures[f"opticam_maps_{network}"] = map_grid(images, maps, rows, f"Maps of {network}")
        return figures

    @staticmethod
    def _path(workspace: Workspace, network: str) -> Path:
        return (
            workspace.results / "maps" / f"{network}-{min(IMAGES, len(workspace.source.names))}.safetensors"
        )

    @staticmethod
    def _compute(workspace: Workspace, network: str) -> dict[str, torch.Tensor]:
        classifier = workspace.classifier(network)
        batch, _ = load_batch(workspace.source, range(min(IMAGES, len(workspace.source.names))))
        batch = batch.to(workspace.device)
        requests = [r for r in MainTable().requests(workspace) if r.network == network]
        maps = {r.method: r.build(classifier)(batch.images, batch.labels).cpu() for r in requests}
        return {"images": batch.images.cpu(), "labels": batch.labels.cpu(), **maps}
