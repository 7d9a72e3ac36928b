"""Prototype networks and other references with their accuracy on CUB-200-2011, beside DP-Net's."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from reproduce.experiments.dpnet.main import MainTable, accuracies, stand_ins
from reproduce.experiments.dpnet.parts_experiment import PartsExperiment
from reproduce.parts.models import parts_label
from reproduce.published.numbers import published
from reproduce.tables.layout import Table, cells, summarise
from reproduce.workspace.workspace import Workspace

DATASET = "Birds"
NAMES = {"Global": "DP-Net [Global]", "Parts": "DP-Net [Parts]"}


class ContextTable(PartsExperiment):
    """Published accuracies of part models on birds; nothing is run for them."""

    name = "dpnet-context"
    title = "Context: part and prototype networks on CUB-200-2011"

    def tables(self, workspace: Workspace) -> Mapping[str, Table]:
        """One line per method, one column per backbone."""
        paper = published("dpnet_main")
        paper = paper[paper["dataset"] == DATASET].assign(method=lambda rows: rows["method"].map(NAMES))
        context = pd.concat([published("dpnet_context"), paper], ignore_index=True)
        beside, comparable = stand_ins(workspace), workspace.parts.comparable
        found = cells(context, self._measured(workspace), beside=beside, comparable=comparable)
        caption = (
            "Part and prototype networks on CUB-200-2011, accuracy in %; sources in the CSV file; "
            f"DP-Net measured on {', '.join(self._datasets(workspace))}, which is another data set"
        )
        return {"dpnet_context": Table(found, caption, aside=tuple(found["base"].unique()))}

    def _measured(self, workspace: Workspace) -> pd.DataFrame:
        runs = [run for run in MainTable().runs(workspace) if run.dataset in self._datasets(workspace)]
        results = accuracies(workspace, runs)
        own = results["method"].replace(parts_label("none"), "Parts").map(NAMES)
        return summarise(results.assign(method=own), seeds=True)

    def _datasets(self, workspace: Workspace) -> list[str]:
        return [name for name, paper in workspace.parts.datasets.items() if paper == DATASET]
