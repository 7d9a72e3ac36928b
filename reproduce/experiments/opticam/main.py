"""Opti-CAM Tables 1 and 2: average drop, gain and increase of every method on every network."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd
from matplotlib.figure import Figure

from reproduce.experiments.dumbbells import Pair, dumbbell_figure
from reproduce.experiments.opticam.saliency_experiment import (
    SaliencyExperiment,
    TablePart,
    beside_published,
    image_counts,
    of_network,
)
from reproduce.published.numbers import published
from reproduce.saliency.requests import Request
from reproduce.tables.layout import Table, summarise
from reproduce.tables.metric_names import SECONDS
from reproduce.tables.network_names import stands_beside
from reproduce.workspace.workspace import Workspace

METRICS = ("AD", "AG", "AI")
DRAWN = ["AD", "AG"]
NETWORK_TABLES = {"opticam_table1": "Table 1", "opticam_table2": "Table 2"}


class MainTable(SaliencyExperiment):
    """AD, AG, AI, and the time a batch of 8 images takes."""

    name = "opticam-main"
    title = "Tables 1 and 2: AD, AG, AI of every method"

    def requests(self, workspace: Workspace) -> list[Request]:
        """Every method on every network of the profile, and the network's accuracy."""
        return [
            request
            for network in self.networks(workspace)
            for request in (
                Request(network, "Network", ("accuracy",)),
                *(
                    self.request(workspace, network, method, "seconds", "faithfulness")
                    for method in workspace.methods(network)
                ),
            )
        ]

    def tables(self, workspace: Workspace) -> Mapping[str, Table]:
        """One table for convolutional networks (Table 1), one for transformers (Table 2)."""
        rows = with_batch_seconds(self.rows(workspace, (*METRICS, "seconds")))
        tables = {}
        for table, title in NETWORK_TABLES.items():
            part = TablePart(table)
            names = list(part.networks(workspace))
            if names:
                measured = summarise(rows[rows["network"].isin(names)])
                caption = f"Opti-CAM {title}; {accuracies(self, workspace, names)}"
                tables[table] = part.table_of(workspace, measured, caption)
        return tables

    def figures(self, workspace: Workspace) -> Mapping[str, Figure]:
        """AD against AG, one panel for each network that has measured rows."""
        rows = self.rows(workspace, DRAWN)
        panels = {}
        for network, paper in self.networks(workspace).items():
            own = of_network(rows, network)
            if len(own):
                panels[f"{stands_beside(network, paper)}\n{image_counts(own)}"] = _pairs(paper, own)
        if not panels:
            return {}
        words = {"across": "average drop (%), lower is better", "up": "average gain (%), higher is better"}
        return {"opticam_drop_and_gain": dumbbell_figure(panels, title="Average drop and gain", **words)}

    def results(self, workspace: Workspace) -> Mapping[str, pd.DataFrame]:
        """Tables 1 and 2, each with its own networks."""
        rows = with_batch_seconds(self.rows(workspace, (*METRICS, "seconds")))
        parts = {table: TablePart(table).networks(workspace) for table in NETWORK_TABLES}
        return {table: beside_published(rows, networks) for table, networks in parts.items()}


def _pairs(paper: str, rows: pd.DataFrame) -> dict[str, Pair]:
    """By method, AD and AG as published for a network, NaN where they are not, and as measured in its place."""
    printed = pd.concat([published(table) for table in NETWORK_TABLES])
    printed = printed[printed["network"] == paper].pivot(index="method", columns="metric", values="value")
    measured = rows.pivot_table(index="method", columns="metric", values="value")
    methods = [name for name in dict.fromkeys([*printed.index, *measured.index]) if name in measured.index]
    sides = [side.reindex(index=methods, columns=DRAWN) for side in (printed, measured)]
    found: dict[str, Pair] = {}
    for method in methods:
        (paper_ad, paper_ag), (own_ad, own_ag) = (side.loc[method] for side in sides)
        found[method] = (paper_ad, paper_ag), (own_ad, own_ag)
    return found


def with_batch_seconds(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the seconds of an image as those of a batch of 8, as the paper prints them."""
    seconds = rows["metric"] == "seconds"
    return rows.assign(
        metric=rows["metric"].where(~seconds, SECONDS),
        value=rows["value"].where(~seconds, rows["value"] * 8),
    )


def accuracies(experiment: SaliencyExperiment, workspace: Workspace, networks: list[str]) -> str:
    """The accuracy of each network on the images, in words; none where the classes are a network's own."""
    if not workspace.source.has_labels:
        return "the explained class is the predicted one"
    rows = experiment.rows(workspace, ("accuracy",), lambda label: label == "Network")
    found = rows.groupby("network")["value"].agg(["mean", "size"])
    texts = [
        f"{name} {found.loc[name, 'mean']:.1f} % on {found.loc[name, 'size']} images"
        for name in networks
        if name in found.index
    ]
    return f"accuracy of {', '.join(texts)}" if texts else "accuracy not measured"
