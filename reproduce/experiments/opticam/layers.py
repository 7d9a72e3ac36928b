"""Opti-CAM Table A.13: which layer's feature maps are combined."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from torch import nn

from reproduce.experiments.opticam.saliency_experiment import MeasuredBeside
from reproduce.experiments.opticam.variants import variant_request
from reproduce.published.numbers import labelled, published, split_label
from reproduce.saliency.explained_batch import SCORES
from reproduce.saliency.requests import Request
from reproduce.tables.layout import Table, summarise
from reproduce.workspace.workspace import Workspace

TRUNKS = ("features", "blocks")
"""What torchvision's and timm's networks call the sequence that their layers are part of."""
INNER = (nn.Conv2d, nn.BatchNorm2d, nn.MaxPool2d)


class LayerTable(MeasuredBeside):
    """AD, AG and AI by layer, named by its place in the network's `features`."""

    name = "opticam-layers"
    title = "Table A.13: layers"
    table = "opticam_tableA13"
    stands_in = True

    def requests(self, workspace: Workspace) -> list[Request]:
        """One variant a layer, for networks that have a trunk."""
        return [
            variant_request(self, workspace, network, layer_label(place), layers=[f"{trunk}.{place}"])
            for network in self.networks(workspace)
            for trunk, place in layer_places(workspace, network)
        ]

    def tables(self, workspace: Workspace) -> Mapping[str, Table]:
        """Table A.13."""
        rows = self.measured(workspace)
        iterations = workspace.saliency.ablation_iterations
        caption = (
            f"Opti-CAM Table A.13: layers by place in each network's own features; {iterations} iterations"
        )
        own = sorted(rows["method"].unique(), key=_place, reverse=True)
        order = list(dict.fromkeys([*published(self.table)["method"], *own]))
        return {self.table: self.table_of(workspace, summarise(rows), caption, methods=order)}

    def measured(self, workspace: Workspace) -> pd.DataFrame:
        """Scores of each layer."""
        return self.rows(workspace, SCORES, is_layer)


def layer_label(place: int) -> str:
    """The label of a layer, as in Table A.13."""
    return labelled("Opti-CAM", f"layer {place}")


def is_layer(label: str) -> bool:
    """Whether a label is that of a layer."""
    return split_label(label)[1].startswith("layer ")


def layer_places(workspace: Workspace, network: str) -> list[tuple[str, int]]:
    """Trunk and place in it: the published layers where the network is the published one; otherwise all activations
    and blocks."""
    children = dict(workspace.classifier(network).network.named_children())
    trunk = next((name for name in TRUNKS if isinstance(children.get(name), nn.Sequential)), None)
    if trunk is None:
        return []
    if workspace.saliency.comparable:
        return [(trunk, _place(label)) for label in published("opticam_tableA13")["method"].unique()]
    layers = reversed(list(enumerate(children[trunk].children())))
    return [(trunk, place) for place, layer in layers if not isinstance(layer, INNER)]


def _place(label: str) -> int:
    return int(split_label(label)[1].removeprefix("layer "))
