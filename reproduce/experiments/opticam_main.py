"""Opti-CAM Tables 1 and 2: average drop, gain and increase of every method on every network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from reproduce.evaluation import EXPERIMENT, Request, evaluate, forget
from reproduce.experiments.base import Claim, Experiment
from reproduce.layout import Table, cells, summarise
from reproduce.profile import Profile
from reproduce.published_numbers import published
from reproduce.workspace import Workspace

METHODS = ("Fake-CAM", "Grad-CAM", "Opti-CAM")


class MainTable(Experiment):
    """AD, AG, AI, and the time a batch of 8 images takes."""

    name = "opticam-main"
    paper = "Opti-CAM"
    title = "Tables 1 and 2: AD, AG, AI of every method"

    def applies(self, profile: Profile) -> bool:
        """Wherever there are images and networks to explain."""
        return profile.saliency is not None

    def requests(self, workspace: Workspace) -> list[Request]:
        """Every method on every network of the profile."""
        iterations = {"iterations": workspace.profile.saliency.iterations}
        return [
            Request(network, method, options=iterations if method == "Opti-CAM" else {})
            for network in workspace.profile.saliency.networks
            for method in METHODS
        ]

    def run(self, workspace: Workspace) -> None:
        """Compute the maps and metrics that are missing."""
        evaluate(workspace, self.requests(workspace))

    def forget(self, workspace: Workspace) -> None:
        """Delete the rows of all methods."""
        forget(workspace, self.requests(workspace))

    def tables(self, workspace: Workspace) -> Mapping[str, Table]:
        """One table for convolutional networks (Table 1), one for transformers (Table 2)."""
        measured = measured_means(workspace, self.requests(workspace))
        return {
            f"opticam_{table}": Table(
                opticam_cells(workspace, table, measured),
                caption=f"Opti-CAM {title}; {stand_ins(workspace, table)}",
            )
            for table, title in (("table1", "Table 1"), ("table2", "Table 2"))
            if networks_of(workspace, table)
        }

    def claims(self, workspace: Workspace) -> list[Claim]:
        """Lowest drop after Fake-CAM's trivial one, highest gain and increase, on each network."""
        measured = measured_means(workspace, self.requests(workspace))
        return [
            claim
            for network, published_network in workspace.profile.saliency.networks.items()
            for claim in best_claims(network, measured[measured["network"] == published_network])
        ]


def measured_means(workspace: Workspace, requests: Sequence[Request]) -> pd.DataFrame:
    """Means over the profile's images, under the names of the published networks the measured ones stand for."""
    profile = workspace.profile
    frame = workspace.store.frame(
        profile.name,
        EXPERIMENT,
        network=[request.network for request in requests],
        method=[request.method for request in requests],
        image=workspace.source.names,
    )
    seconds = frame["metric"] == "seconds"
    frame.loc[seconds, "metric"] = "seconds_per_batch8"
    frame.loc[seconds, "value"] *= 8
    wanted = {
        (r.network, r.method, metric) for r in requests for metric in (*r.metrics, "seconds_per_batch8")
    }
    keys = zip(frame["network"], frame["method"], frame["metric"])
    frame = frame[[key in wanted for key in keys]]
    return summarise(frame.assign(network=frame["network"].map(profile.saliency.networks)))


def networks_of(workspace: Workspace, table: str) -> list[str]:
    """The published networks of a table that the profile's networks stand beside; unknown ones join Table 1."""
    stand_beside = list(workspace.profile.saliency.networks.values())
    known = {name: set(published(f"opticam_{name}")["network"]) for name in ("table1", "table2")}
    if table == "table1":
        return [name for name in stand_beside if name not in known["table2"]]
    return [name for name in stand_beside if name in known[table]]


def opticam_cells(workspace: Workspace, table: str, measured: pd.DataFrame) -> pd.DataFrame:
    """Cells of one published table, for the networks and methods of this profile."""
    columns = networks_of(workspace, table)
    paper = published(f"opticam_{table}")
    kept = measured[measured["network"].isin(columns)]
    comparable = workspace.profile.saliency.comparable
    return cells(paper, kept, columns=columns, comparable=comparable)


def stand_ins(workspace: Workspace, table: str) -> str:
    """Which measured network stands beside which published one, in words."""
    columns = networks_of(workspace, table)
    pairs = workspace.profile.saliency.networks.items()
    return "measured: " + ", ".join(f"{name} for {paper}" for name, paper in pairs if paper in columns)


def best_claims(network: str, measured: pd.DataFrame) -> list[Claim]:
    """The three claims of section 5.2 on one network, from the means of all methods."""
    rules = (
        ("AD", "lowest average drop after Fake-CAM", True),
        ("AG", "highest average gain", False),
        ("AI", "highest average increase", False),
    )
    claims = []
    for metric, words, lower_is_better in rules:
        means = measured[measured["metric"] == metric].set_index("method")["measured"]
        if metric == "AD":
            means = means.drop("Fake-CAM", errors="ignore")
        others = means.drop("Opti-CAM", errors="ignore")
        text = f"Opti-CAM has the {words} on {network}"
        if "Opti-CAM" not in means or others.empty:
            claims.append(Claim(text, None, "not run"))
            continue
        rival = others.idxmin() if lower_is_better else others.idxmax()
        ours, best = means["Opti-CAM"], others[rival]
        holds = bool(ours < best if lower_is_better else ours > best)
        claims.append(Claim(text, holds, f"{metric} {ours:.1f} against {best:.1f} of {rival}"))
    return claims
