"""DP-Net's result table: Global against Parts on every data set and backbone, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from reproduce.experiments.dpnet.parts_experiment import PartsExperiment
from reproduce.parts.models import EXPERIMENT, PartRun, forget, parts_label, seeds, train_missing
from reproduce.published.numbers import published
from reproduce.tables.layout import Table, cells, summarise
from reproduce.workspace.workspace import Workspace

UNCONSTRAINED = parts_label("none")
DELTA = "Parts - Global"


class MainTable(PartsExperiment):
    """Accuracy of the global average and of the parts on the same frozen features."""

    name = "dpnet-main"
    title = "Results: Global and Parts on three data sets and two backbones"

    def runs(self, workspace: Workspace) -> list[PartRun]:
        """Both models on every data set and backbone with every seed."""
        profile = workspace.parts
        return [
            PartRun(dataset, backbone, method, seed)
            for dataset in profile.datasets
            for backbone in profile.backbones
            for method in ("Global", UNCONSTRAINED)
            for seed in seeds(workspace)
        ]

    def run(self, workspace: Workspace) -> None:
        """Train what is missing."""
        train_missing(workspace, self.runs(workspace))

    def forget(self, workspace: Workspace) -> None:
        """Delete the results of these models."""
        forget(workspace, self.runs(workspace))

    def tables(self, workspace: Workspace) -> Mapping[str, Table]:
        """Accuracy and what Parts add to it, mean and standard deviation over seeds."""
        results = accuracies(workspace, self.runs(workspace))
        results["method"] = results["method"].replace(UNCONSTRAINED, "Parts")
        paper = published("dpnet_main")
        paper = pd.concat([paper, published_delta(paper)], ignore_index=True)
        measured = summarise(pd.concat([results, measured_delta(results)]), seeds=True)
        found = cells(paper, measured, beside=stand_ins(workspace), comparable=workspace.parts.comparable)
        caption = (
            "DP-Net results, accuracy in %, and what Parts add to it in points, seed by seed"
            f"{who_trained(workspace)}"
        )
        every = ("Global", "Parts", DELTA)
        return {
            "dpnet_main": Table(
                found, caption, rows="dataset", groups=("network", "method"), show="sd", aside=every
            )
        }

    def results(self, workspace: Workspace) -> Mapping[str, pd.DataFrame]:
        """Accuracy of every seed."""
        results = beside_published(workspace, accuracies(workspace, self.runs(workspace)))
        return {"dpnet_main": results.replace({"method": {UNCONSTRAINED: "Parts"}})}


def accuracies(workspace: Workspace, runs: Sequence[PartRun]) -> pd.DataFrame:
    """Accuracy of each run; see `figures`."""
    return figures(workspace, runs, ["accuracy"])


def figures(workspace: Workspace, runs: Sequence[PartRun], metrics: Sequence[str]) -> pd.DataFrame:
    """Stored figures of runs: columns dataset and network, as measured, method, image (the seed), metric, value."""
    frame = workspace.store.frame(
        workspace.profile.name,
        workspace.of_models(EXPERIMENT),
        network=[run.backbone for run in runs],
        method=[run.method for run in runs],
        image=[run.image for run in runs],
        metric=metrics,
    )
    split = frame["image"].str.split("/", expand=True, n=1).reindex(columns=[0, 1])
    return frame.assign(dataset=split[0], image=split[1])


def stand_ins(workspace: Workspace) -> dict[str, str]:
    """The published data set or backbone that each measured one stands beside, by the measured name."""
    return {**workspace.parts.datasets, **workspace.parts.backbones}


def beside_published(workspace: Workspace, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of `figures` under the published names; `own` keeps the backbone they were measured on."""
    own, profile = rows["network"], workspace.parts
    return rows.assign(
        own=own, network=own.map(profile.backbones), dataset=rows["dataset"].map(profile.datasets)
    )


def who_trained(workspace: Workspace) -> str:
    """What the caption of a table adds where models were entered in place of trained ones."""
    return "; runs of dpnet train" if workspace.parts_input.runs else ""


def published_delta(paper: pd.DataFrame) -> pd.DataFrame:
    """Parts less Global of the published table, as rows of their own."""
    wide = paper.pivot(index=["dataset", "network"], columns="method", values=["value", "tolerance"])
    rows = paper[paper["method"] == "Parts"].set_index(["dataset", "network"], drop=False)
    wide = wide.reindex(rows.index)
    both = wide["tolerance"]
    return rows.assign(
        method=DELTA,
        metric="delta",
        unit="points",
        value=(wide["value", "Parts"] - wide["value", "Global"]).round(1),
        tolerance=np.hypot(both["Parts"], both["Global"]).round(2),
        note=rows["note"] + "; difference of two printed numbers",
    ).reset_index(drop=True)


def measured_delta(results: pd.DataFrame, baseline: str = "Global") -> pd.DataFrame:
    """Parts less the baseline with the same seed, as rows of their own."""
    keys = ["dataset", "network", "image"]
    wide = results.pivot(index=keys, columns="method", values="value").reindex(columns=["Parts", baseline])
    delta = (wide["Parts"] - wide[baseline]).dropna().rename("value").reset_index()
    return delta.assign(method=DELTA, metric="delta")
