"""Global and Parts where both read the same layer: how much of their difference the choice of the layer makes."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from reproduce.experiments.dpnet.main import (
    DELTA,
    UNCONSTRAINED,
    MainTable,
    accuracies,
    beside_published,
    measured_delta,
    stand_ins,
    who_trained,
)
from reproduce.experiments.dpnet.parts_experiment import PartsExperiment
from reproduce.parts.models import SAME_LAYER, PartRun, forget, layer_read, train_missing
from reproduce.published.numbers import published
from reproduce.tables.layout import Table, cells, summarise
from reproduce.workspace.profile import Profile
from reproduce.workspace.workspace import Workspace

METHODS = ("Global", SAME_LAYER, "Parts", DELTA)


class LayerTable(PartsExperiment):
    """The main table with a third model: the baseline on the layer that the parts have chosen."""

    name = "dpnet-layers"
    title = "Global and Parts on the same layer"

    def applies(self, profile: Profile) -> bool:
        """Wherever cross-validation has several layers to choose from."""
        return profile.parts is not None and any(len(names) > 1 for names in profile.parts.layers.values())

    def runs(self, workspace: Workspace) -> list[PartRun]:
        """The models of the main table, and the baseline on the parts' layer."""
        main = MainTable().runs(workspace)
        return main + [
            PartRun(run.dataset, run.backbone, SAME_LAYER, run.seed) for run in main if run.method == "Global"
        ]

    def run(self, workspace: Workspace) -> None:
        """Train what is missing."""
        train_missing(workspace, self.runs(workspace))

    def forget(self, workspace: Workspace) -> None:
        """Delete the results of the third model; the others are the main table's."""
        forget(workspace, [run for run in self.runs(workspace) if run.method == SAME_LAYER])

    def tables(self, workspace: Workspace) -> Mapping[str, Table]:
        """Accuracy of the three, and Parts less Global on the parts' layer, seed by seed."""
        results = self._accuracies(workspace)
        measured = summarise(pd.concat([results, measured_delta(results, SAME_LAYER)]), seeds=True)
        kept = [name for name in METHODS if name in set(measured["method"])]
        found = cells(published("dpnet_main")[:0], measured, rows=kept, beside=stand_ins(workspace))
        caption = (
            f"Accuracy in % where Global reads its own layer and the one of Parts, and what Parts add on the same "
            f"layer, in points; {self._layers(workspace)}{who_trained(workspace)}"
        )
        groups = ("network", "method")
        return {
            "dpnet_layers": Table(found, caption, rows="dataset", groups=groups, show="sd", aside=METHODS)
        }

    def results(self, workspace: Workspace) -> Mapping[str, pd.DataFrame]:
        """Accuracy of every seed."""
        return {"dpnet_layers": beside_published(workspace, self._accuracies(workspace))}

    def _accuracies(self, workspace: Workspace) -> pd.DataFrame:
        return accuracies(workspace, self.runs(workspace)).replace({"method": {UNCONSTRAINED: "Parts"}})

    def _layers(self, workspace: Workspace) -> str:
        """The layers that Global and Parts read, by data set and backbone."""
        texts = []
        for run in self.runs(workspace):
            if run.method == "Global" and not run.seed:
                own = layer_read(workspace, run)
                parts = layer_read(workspace, PartRun(run.dataset, run.backbone, UNCONSTRAINED, run.seed))
                if own and parts:
                    texts.append(f"{run.dataset}, {run.backbone}: Global {own}, Parts {parts}")
        return "; ".join(texts) or "no layer is stored yet"
