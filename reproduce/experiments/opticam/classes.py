"""Opti-CAM Table A.9: maps for other classes than the true one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reproduce.experiments.opticam.saliency_experiment import MeasuredBeside
from reproduce.published.numbers import published, split_label
from reproduce.saliency.course_groups import OF_CLASS, OTHER_CLASSES
from reproduce.saliency.explained_batch import SCORES
from reproduce.saliency.requests import Request
from reproduce.tables.layout import Table, summarise
from reproduce.workspace.workspace import Workspace

TRUE, PROBABLE = "ground truth", "most probable"
MISCLASSIFIED = f"{PROBABLE}, misclassified"


class ClassTable(MeasuredBeside):
    """Maps of the true, the most, second most and least probable class, scored against the true class."""

    name = "opticam-classes"
    title = "Table A.9: other classes"
    table = "opticam_tableA9"
    stands_in = True

    def methods(self) -> list[str]:
        """The methods of the published table."""
        return list(dict.fromkeys(split_label(label)[0] for label in published(self.table)["method"]))

    def requests(self, workspace: Workspace) -> list[Request]:
        """Each method with the maps of all classes; which images are misclassified."""
        return [
            request
            for network in self.networks(workspace)
            for request in (
                self.request(workspace, network, "Network", "accuracy"),
                *(
                    self.request(workspace, network, method, "faithfulness", OTHER_CLASSES)
                    for method in self.methods()
                ),
            )
        ]

    def tables(self, workspace: Workspace) -> Mapping[str, Table]:
        """Table A.9."""
        caption = "Opti-CAM Table A.9: maps of other classes, all scored against the true class"
        layout: dict[str, Any] = {"rows": "base", "groups": ("network", "variant")}
        rows = summarise(self.measured(workspace))
        return {self.table: self.table_of(workspace, rows, caption, **layout)}

    def measured(self, workspace: Workspace) -> pd.DataFrame:
        """Stored rows by method and class, and those of misclassified images once more under their own label."""
        rows = self.rows(workspace, (*SCORES, *OF_CLASS.values()), set(self.methods()).__contains__)
        metrics = {(score, TRUE): score for score in SCORES} | OF_CLASS
        known = pd.DataFrame(
            [(metric, score, f" [{name}]") for (score, name), metric in metrics.items()],
            columns=["metric", "score", "class"],
        )
        rows = rows.merge(known, on="metric")
        rows = rows.assign(method=rows["method"] + rows["class"], metric=rows["score"])
        accuracy = self.rows(workspace, ["accuracy"], lambda label: label == "Network")
        wrong = accuracy.loc[accuracy["value"] == 0, ["network", "image"]]
        probable = rows[rows["method"].str.endswith(f"[{PROBABLE}]")].merge(wrong, on=["network", "image"])
        again = probable["method"].str.replace(f"[{PROBABLE}]", f"[{MISCLASSIFIED}]", regex=False)
        found = pd.concat([rows, probable.assign(method=again)], ignore_index=True)
        return found.drop(columns=["score", "class"])
