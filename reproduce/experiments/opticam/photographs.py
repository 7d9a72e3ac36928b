"""Photographs of installed packages: each map over the photo, and the masked photo with its probability."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from matplotlib.figure import Figure

from opticam import METHODS
from opticam.data.photographs import PHOTOGRAPHS
from opticam.networks import class_names
from opticam.plotting import Explained, masked_grid
from reproduce.experiments.opticam.maps import MapsFigure
from reproduce.saliency.explained_batch import Evaluated
from reproduce.saliency.requests import Request
from reproduce.workspace.profile import Profile
from reproduce.workspace.workspace import Workspace

TEASER = ("chelsea", "coffee", "rocket")
TEASER_METHODS = ("Grad-CAM", "Score-CAM", "Opti-CAM")
CLASS, MASKED = "probability", "masked "


class PhotographsFigure(MapsFigure):
    """Every photograph under every method of the profile, and three of them under three methods."""

    name = "photographs"
    title = "Photographs: the map over the photo, the masked photo with its probability"
    images = len(PHOTOGRAPHS)
    drawing = 5.0

    def applies(self, profile: Profile) -> bool:
        """On photographs that installed packages carry."""
        saliency = profile.saliency
        return super().applies(profile) and saliency is not None and saliency.source == "photographs"

    def shown(self, requests: Sequence[Request]) -> list[int]:
        """Each method's maps of all photographs that it is measured on."""
        counts = (self.images if request.images is None else request.images for request in requests)
        return [min(self.images, count) for count in counts]

    def kept(self, found: Sequence[Evaluated]) -> dict[str, torch.Tensor]:
        """Images, classes, maps, and the probability of the class with and without each mask."""
        masked = {
            MASKED + given.request.method: given.masked_probabilities(given.maps).cpu() for given in found
        }
        return super().kept(found) | {CLASS: found[0].view.probabilities.cpu()} | masked

    def figures(self, workspace: Workspace) -> dict[str, Figure]:
        """For each network, all photographs, and the few that open the README."""
        figures = {}
        for network, stored in self.stored(workspace).items():
            names = workspace.source.names[: len(stored["images"])]
            methods = [method for method in METHODS if method in stored]
            figures[f"photographs_{network}"] = _grid(network, stored, names, methods)
            few = [name for name in names if name in TEASER]
            if few and set(TEASER_METHODS) <= set(methods):
                figures[f"teaser_{network}"] = _grid(network, stored, names, TEASER_METHODS, few)
        return figures


def _grid(
    network: str,
    stored: dict[str, torch.Tensor],
    names: Sequence[str],
    methods: Sequence[str],
    chosen: Sequence[str] | None = None,
) -> Figure:
    """One row for each chosen photograph."""
    places = [names.index(name) for name in chosen or names]
    classes = class_names(network)
    labels = [int(stored["labels"][place]) for place in places]
    titles = [
        f"{classes[label] if classes else f'class {label}'}, p = {float(stored[CLASS][place]):.2f}"
        for label, place in zip(labels, places)
    ]
    columns = {method: _explained(stored, method, places) for method in methods}
    return masked_grid(stored["images"][places], titles, columns)


def _explained(stored: dict[str, torch.Tensor], method: str, places: Sequence[int]) -> list[Explained | None]:
    """What a method says of each photograph; None where it was not measured."""
    maps, masked = stored[method], stored[MASKED + method]
    return [Explained(maps[place], float(masked[place])) if place < len(maps) else None for place in places]
