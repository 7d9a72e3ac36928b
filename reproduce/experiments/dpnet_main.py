"""DP-Net's result table: Global against Parts on every data set and backbone, over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from reproduce.experiments.base import Claim, Experiment
from reproduce.layout import Table, cells, summarise
from reproduce.part_models import EXPERIMENT, PartRun, forget, parts_label, seeds, train_missing
from reproduce.profile import Profile
from reproduce.published_numbers import published
from reproduce.workspace import Workspace

UNCONSTRAINED = parts_label("none")


class MainTable(Experiment):
    """Accuracy of the global average and of the parts on the same frozen features."""

    name = "dpnet-main"
    paper = "DP-Net"
    title = "Results: Global and Parts on three data sets and two backbones"

    def applies(self, profile: Profile) -> bool:
        """Wherever the profile has data sets for DP-Net."""
        return profile.parts is not None

    def runs(self, workspace: Workspace) -> list[PartRun]:
        """Both models on every data set and backbone with every seed."""
        profile = workspace.profile.parts
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
        """Accuracy, mean and standard deviation over seeds."""
        measured = accuracies(workspace, self.runs(workspace))
        measured["method"] = measured["method"].replace(UNCONSTRAINED, "Parts")
        found = cells(published("dpnet_main"), measured, comparable=workspace.profile.parts.comparable)
        caption = f"DP-Net results, accuracy in %; measured: {stand_ins(workspace)}"
        return {"dpnet_main": Table(found, caption, groups=("dataset", "network"), show="sd", aside=())}

    def claims(self, workspace: Workspace) -> list[Claim]:
        """Parts reach at least the accuracy of Global on each data set, as the mean over backbones."""
        measured = accuracies(workspace, self.runs(workspace))
        return [
            parts_claim(name, measured[measured["dataset"] == paper])
            for name, paper in workspace.profile.parts.datasets.items()
        ]


def accuracies(workspace: Workspace, runs: Sequence[PartRun]) -> pd.DataFrame:
    """Mean accuracy over seeds, with the published names of data sets and backbones."""
    profile = workspace.profile.parts
    frame = workspace.store.frame(
        workspace.profile.name,
        EXPERIMENT,
        network=[run.backbone for run in runs],
        method=[run.method for run in runs],
        image=[run.image for run in runs],
        metric="accuracy",
    )
    split = frame["image"].str.split("/", expand=True, n=1).reindex(columns=[0, 1])
    named = frame.assign(
        dataset=split[0].map(profile.datasets),
        image=split[1],
        network=frame["network"].map(profile.backbones),
    )
    return summarise(named, seeds=True)


def stand_ins(workspace: Workspace) -> str:
    """Which measured data set and backbone stands beside which published one, in words."""
    profile = workspace.profile.parts
    pairs = [*profile.datasets.items(), *profile.backbones.items()]
    return ", ".join(f"{name} for {paper}" for name, paper in pairs)


def parts_claim(dataset: str, measured: pd.DataFrame) -> Claim:
    """Parts >= Global on one data set, mean over backbones and seeds."""
    text = f"Parts reach at least the accuracy of Global on {dataset}"
    means = measured.groupby("method")["measured"].mean()
    if not {"Global", UNCONSTRAINED} <= set(means.index):
        return Claim(text, None, "not run")
    parts, baseline = means[UNCONSTRAINED], means["Global"]
    details = measured.pivot(index="network", columns="method", values="measured")
    words = ", ".join(
        f"{network} {row[UNCONSTRAINED]:.1f} against {row['Global']:.1f}"
        for network, row in details.iterrows()
    )
    return Claim(text, bool(parts >= baseline), f"{parts:.1f} against {baseline:.1f}; {words}")
