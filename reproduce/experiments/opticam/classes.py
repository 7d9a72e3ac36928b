"""Opti-CAM Table A.9: maps for other classes than the true one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reproduce.experiments.opticam.saliency_experiment import (
    SaliencyExperiment,
    beside_published,
    method_options,
)
from reproduce.published.numbers import labelled, published, split_label
from reproduce.saliency.explained_batch import SCORES
from reproduce.saliency.metric_groups import PREDICTED
from reproduce.saliency.requests import TARGETS, Request
from reproduce.tables.layout import Table, summarise
from reproduce.workspace.workspace import Workspace

TRUE, PROBABLE = "ground truth", "most probable"
MISCLASSIFIED = f"{PROBABLE}, misclassified"


class ClassTable(SaliencyExperiment):
    """Maps of the true, the most, second most and least probable class, scored against the true class."""

    name = "opticam-classes"
    title = "Table A.9: other classes"
    table = "opticam_tableA9"
    stands_in = True

    def methods(self) -> list[str]:
        """The methods of the published table."""
        return list(dict.fromkeys(split_label(label)[0] for label in published(self.table)["method"]))

    def requests(self, workspace: Workspace) -> list[Request]:
        """Each method for each class; which images are misclassified. Maps of the true class are the plain ones, and
        so are most of the predicted one."""
        others = [target for target in TARGETS if target != "label"]
        requests = []
        for network in self.networks(workspace):
            requests.append(self.request(workspace, network, "Network", "accuracy"))
            for method in self.methods():
                own = "faithfulness", "faithfulness of prediction"
                requests.append(self.request(workspace, network, method, *own))
                options = method_options(workspace.profile, method)
                options |= {"cuda_graph": False} if method == "Opti-CAM" else {}
                requests += [
                    self.request(
                        workspace,
                        network,
                        labelled(method, target),
                        "faithfulness",
                        kind=method,
                        options=options,
                        target=target,
                    )
                    for target in others
                ]
        return requests

    def tables(self, workspace: Workspace) -> Mapping[str, Table]:
        """Table A.9."""
        caption = "Opti-CAM Table A.9: maps of other classes, all scored against the true class"
        layout: dict[str, Any] = {"rows": "base", "groups": ("network", "variant")}
        measured = summarise(self.class_rows(workspace))
        return {self.table: self.table_of(workspace, measured, caption, **layout)}

    def results(self, workspace: Workspace) -> Mapping[str, pd.DataFrame]:
        """Table A.9."""
        rows = self.class_rows(workspace)
        return {self.table: beside_published(rows, self.stored_networks(workspace))}

    def class_rows(self, workspace: Workspace) -> pd.DataFrame:
        """Stored rows by method and class, and those of misclassified images once more under their own label."""
        shown = set(self.methods())
        rows = self.rows(workspace, (*SCORES, *PREDICTED.values()), lambda label: _is_shown(label, shown))
        predicted = rows["metric"].isin(PREDICTED.values())
        plain = ~rows["method"].str.contains("[", regex=False)
        own = rows["method"] + predicted.map({True: f" [{PROBABLE}]", False: f" [{TRUE}]"})
        scores = rows["metric"].replace({name: score for score, name in PREDICTED.items()})
        rows = rows.assign(method=rows["method"].where(~plain, own), metric=scores)
        accuracy = self.rows(workspace, ["accuracy"], lambda label: label == "Network")
        wrong = accuracy.loc[accuracy["value"] == 0, ["network", "image"]]
        probable = rows[rows["method"].str.endswith(f"[{PROBABLE}]")].merge(wrong, on=["network", "image"])
        again = probable["method"].str.replace(f"[{PROBABLE}]", f"[{MISCLASSIFIED}]", regex=False)
        return pd.concat([rows, probable.assign(method=again)], ignore_index=True)


def _is_shown(label: str, methods: set[str]) -> bool:
    base, variant = split_label(label)
    return base in methods and (not variant or variant in TARGETS)
