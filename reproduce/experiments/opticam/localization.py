"""Opti-CAM Tables A.7 and A.8: localisation, under the authors' code and under the formulas of Appendix B.1."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from reproduce.experiments.opticam.saliency_experiment import (
    SaliencyExperiment,
    TablePart,
    beside_published,
)
from reproduce.saliency.box_accuracy_interval import box_accuracies
from reproduce.saliency.box_groups import HITS, LOCALIZATION, protocol_name
from reproduce.saliency.requests import Request
from reproduce.tables.layout import Table, summarise
from reproduce.workspace.sources import PROTOCOLS
from reproduce.workspace.workspace import Workspace

TABLES = {"opticam_tableA7": "Table A.7", "opticam_tableA8": "Table A.8"}
CENTRE, WHOLE = "Image centre", "Fake-CAM"
PLAIN_SCORES = tuple(name for name in LOCALIZATION if name not in HITS)
WHY = "the published numbers follow the authors' code, not these formulas"


class LocalizationTables(SaliencyExperiment):
    """OM, LE, F1, BA, SP, EP and SM of every method and of two maps that look at no picture."""

    name = "opticam-localization"
    title = "Tables A.7 and A.8: localisation, two protocols"

    def requests(self, workspace: Workspace) -> list[Request]:
        """Every method and the image centre, where the images have boxes; Fake-CAM is the whole image."""
        if not workspace.source.has_boxes:
            return []
        return [
            self.request(workspace, network, method, "localization")
            for network in self.networks(workspace)
            for method in (*workspace.methods(network), CENTRE)
        ]

    def tables(self, workspace: Workspace) -> Mapping[str, Table]:
        """Each table as the authors' code computes it, and as the formulas do."""
        tables = {}
        rows = {protocol: self.protocol_rows(workspace, protocol) for protocol in PROTOCOLS}
        for table, title in TABLES.items():
            part = TablePart(table)
            networks = part.networks(workspace)
            for protocol in PROTOCOLS if networks else ():
                name, words, options = _presentation(table, protocol)
                caption = f"Opti-CAM {title}, {words}; Fake-CAM is the whole image"
                own = rows[protocol]
                measured = measured_scores(own[own["network"].isin(networks)])
                tables[name] = part.table_of(workspace, measured, caption, aside=(WHOLE, CENTRE), **options)
        return tables

    def results(self, workspace: Workspace) -> Mapping[str, pd.DataFrame]:
        """Tables A.7 and A.8 under both protocols, each with its own networks."""
        found = {}
        for protocol in PROTOCOLS:
            rows = self.protocol_rows(workspace, protocol)
            for table in TABLES:
                name, _, _ = _presentation(table, protocol)
                found[name] = beside_published(rows, TablePart(table).networks(workspace))
        return found

    def protocol_rows(self, workspace: Workspace, protocol: str) -> pd.DataFrame:
        """Stored rows of one protocol, under the plain names of the metrics."""
        names = {protocol_name(name, protocol): name for name in LOCALIZATION}
        rows = self.rows(workspace, list(names))
        return rows.assign(metric=rows["metric"].map(names))


def measured_scores(rows: pd.DataFrame) -> pd.DataFrame:
    """Means of the scores that are means over images, and BA, which is not."""
    return pd.concat([mean_scores(rows), box_accuracies(rows)], ignore_index=True)


def mean_scores(rows: pd.DataFrame) -> pd.DataFrame:
    """Means of the scores that are means over images."""
    return summarise(rows[rows["metric"].isin(PLAIN_SCORES)])


def _presentation(table: str, protocol: str) -> tuple[str, str, dict[str, Any]]:
    """Name of a table, words for its caption, and how it is compared."""
    if protocol == "legacy":
        return table, "as the authors' code computes it (BA: thresholds are not stated)", {}
    return f"{table}_formulas", "by the formulas of Appendix B.1", {"comparable": False, "why": WHY}
