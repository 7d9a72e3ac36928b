"""Opti-CAM Table 5: is the object's box all that the network looks at?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reproduce.experiments.opticam.saliency_experiment import SaliencyExperiment, beside_published
from reproduce.experiments.opticam.variants import MASK_RANGE, variant_request
from reproduce.published.numbers import labelled, split_label
from reproduce.saliency.box_groups import BOX, BOX_STUDY, protocol_name
from reproduce.saliency.explained_batch import SCORES
from reproduce.saliency.requests import Request
from reproduce.tables.layout import Table, summarise
from reproduce.workspace.workspace import Workspace

BOXES = "Bounding box"
CORRECTED = "opticam_table5_corrected"
BOX_ROWS = {"B": BOXES, "I\\B": f"{BOXES} complement"}
WHY = "the published numbers used a box mask with x and y swapped and boxes cut off"


class BoxTable(SaliencyExperiment):
    """AD, AG and AI of the box, its complement, the map, and the map's parts inside and outside the box."""

    name = "opticam-boxes"
    title = "Table 5: bounding-box study, two box masks"
    table = "opticam_table5"
    stands_in = True

    def requests(self, workspace: Workspace) -> list[Request]:
        """Every method and the boxes alone, where the images have boxes; Opti-CAM as in Table 6."""
        if not workspace.source.has_boxes:
            return []
        groups = ("faithfulness", "box study")
        requests = []
        for network in self.networks(workspace):
            methods = [method for method in workspace.methods(network) if method != "Opti-CAM"]
            requests += [self.request(workspace, network, method, *groups) for method in methods]
            requests += [variant_request(self, workspace, network, MASK_RANGE, *groups)]
            requests += [self.request(workspace, network, BOXES, "box")]
        return requests

    def tables(self, workspace: Workspace) -> Mapping[str, Table]:
        """Table 5 with the box mask of the authors' code, and with one that covers the boxes."""
        kinds: dict[str, tuple[str, str, dict[str, Any]]] = {
            "legacy": (self.table, "box mask of the authors' code", {}),
            "paper": (
                CORRECTED,
                "box mask that covers the boxes",
                {"comparable": False, "why": WHY},
            ),
        }
        layout: dict[str, Any] = {
            "rows": "base",
            "groups": ("network", "variant"),
            "aside": ("Fake-CAM", *BOX_ROWS.values()),
        }
        return {
            name: self.table_of(
                workspace,
                summarise(self.region_rows(workspace, protocol)),
                f"Opti-CAM Table 5, {words}: map S, box B; {self.iterations(workspace)}",
                **options,
                **layout,
            )
            for protocol, (name, words, options) in kinds.items()
        }

    def results(self, workspace: Workspace) -> Mapping[str, pd.DataFrame]:
        """Table 5 under both box masks."""
        networks = self.networks(workspace)
        masks = {"legacy": self.table, "paper": CORRECTED}
        return {
            name: beside_published(self.region_rows(workspace, protocol), networks)
            for protocol, name in masks.items()
        }

    def region_rows(self, workspace: Workspace, protocol: str) -> pd.DataFrame:
        """Stored rows under one box mask; the part of the map is the method's variant, as the paper prints it."""
        regions = {protocol_name(name, protocol): name for name in (*BOX_STUDY, *BOX)}
        rows = self.rows(workspace, [*SCORES, *regions], _is_shown)
        named = rows["metric"].map(lambda name: regions.get(name, f"{name} S"))
        words = named.str.split(" ", n=1)
        score, region = words.str[0], words.str[1]
        base = rows["method"].map(lambda label: split_label(label)[0])
        method = [
            labelled(BOX_ROWS[part], "S") if part in BOX_ROWS else labelled(name, part)
            for name, part in zip(base, region)
        ]
        return rows.assign(method=method, metric=score)

    @staticmethod
    def iterations(workspace: Workspace) -> str:
        """How long Opti-CAM ran, in words."""
        return f"Opti-CAM with {workspace.saliency.ablation_iterations} iterations"


def _is_shown(label: str) -> bool:
    """Plain methods, and of Opti-CAM the setting of the ablations."""
    return label == MASK_RANGE or (not split_label(label)[1] and label != "Opti-CAM")
