"""Opti-CAM Tables 1 and 2: average drop, gain and increase of every method on every network."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from reproduce.experiments.base import Claim
from reproduce.experiments.comparisons import best, means, of_network
from reproduce.experiments.opticam.saliency_experiment import SaliencyExperiment, where_comparable
from reproduce.published.numbers import published
from reproduce.saliency.requests import Request
from reproduce.tables.layout import Table, summarise
from reproduce.workspace.workspace import Workspace

METRICS = ("AD", "AG", "AI")
OWN_OBJECTIVE = (
    "a main claim: Opti-CAM maximises the class score of the masked image, which these scores measure"
)
ONE_PIXEL = (
    "Fake-CAM blackens one pixel, in a small picture a larger share of it than in the paper's 224 x 224, and the "
    "published margins of 0.3 to 0.8 points are less than some dozens of images resolve"
)
FLAT = "a main claim: a map that hides one pixel cannot raise a probability by much, AG is there to show it"
USELESS = 0.1  # Fake-CAM's gain counts as useless below this share of Opti-CAM's; published: 0.008 to 0.024


class MainTable(SaliencyExperiment):
    """AD, AG, AI, and the time a batch of 8 images takes."""

    name = "opticam-main"
    title = "Tables 1 and 2: AD, AG, AI of every method"

    def networks(self, workspace: Workspace) -> dict[str, str]:
        """All networks of the profile."""
        return dict(workspace.profile.saliency.networks)

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
        for table, title in (("opticam_table1", "Table 1"), ("opticam_table2", "Table 2")):
            part = _Part(table)
            names = list(part.networks(workspace))
            if names:
                measured = summarise(rows[rows["network"].isin(names)])
                caption = f"Opti-CAM {title}; {accuracies(self, workspace, names)}"
                tables[table] = part.table_of(workspace, measured, caption)
        return tables

    def claims(self, workspace: Workspace) -> list[Claim]:
        """Section 5.2 on each network: Opti-CAM's figures are best, and what Fake-CAM's tell."""
        rows = self.rows(workspace, METRICS)
        return [
            claim
            for network in self.networks(workspace)
            for claim in (
                *opticam_claims(network, of_network(rows, network)),
                *fake_cam_claims(workspace, network, of_network(rows, network)),
            )
        ]


class _Part(MainTable):
    """The networks of one of the two published tables."""

    def __init__(self, table: str) -> None:
        self.table = table

    def networks(self, workspace: Workspace) -> dict[str, str]:
        known = set(published(self.table)["network"])
        pairs = workspace.profile.saliency.networks
        return {name: paper for name, paper in pairs.items() if paper in known}


def with_batch_seconds(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the seconds of an image as those of a batch of 8, as the paper prints them."""
    seconds = rows["metric"] == "seconds"
    return rows.assign(
        metric=rows["metric"].where(~seconds, "seconds_per_batch8"),
        value=rows["value"].where(~seconds, rows["value"] * 8),
    )


def accuracies(experiment: SaliencyExperiment, workspace: Workspace, networks: list[str]) -> str:
    """The accuracy of each network on the images, in words."""
    rows = experiment.rows(workspace, ("accuracy",), lambda label: label == "Network")
    found = rows.groupby("network")["value"].agg(["mean", "size"])
    texts = [
        f"{name} {found.loc[name, 'mean']:.1f} % on {found.loc[name, 'size']} images"
        for name in networks
        if name in found.index
    ]
    return f"accuracy of {', '.join(texts)}" if texts else "accuracy not measured"


def opticam_claims(network: str, rows: pd.DataFrame) -> list[Claim]:
    """Lowest drop after Fake-CAM's trivial one, highest gain and increase."""
    others = [name for name in rows["method"].unique() if name != "Fake-CAM"]
    claims = [
        best(
            f"Opti-CAM has the lowest average drop after Fake-CAM on {network}",
            rows,
            "AD",
            "Opti-CAM",
            others,
        ),
        best(f"Opti-CAM has the highest average gain on {network}", rows, "AG", "Opti-CAM"),
        best(f"Opti-CAM has the highest average increase on {network}", rows, "AI", "Opti-CAM"),
    ]
    return [claim.because(OWN_OBJECTIVE) for claim in claims]


def fake_cam_claims(workspace: Workspace, network: str, rows: pd.DataFrame) -> list[Claim]:
    """A map that explains nothing has the lowest drop, but gains next to nothing: AG tells, AD does not."""
    lowest = best(f"Fake-CAM has the lowest average drop of all on {network}", rows, "AD", "Fake-CAM")
    lowest = where_comparable(workspace, lowest, ONE_PIXEL)
    text = f"Fake-CAM's average gain is useless on {network}: less than a tenth of Opti-CAM's"
    gains = means(rows, "AG", ("Fake-CAM", "Opti-CAM"))
    if gains is None:
        return [lowest, Claim(text, None, "not run").because(FLAT)]
    evidence = f"AG {gains['Fake-CAM']:.1f} against {gains['Opti-CAM']:.1f}"
    useless = Claim(text, bool(gains["Fake-CAM"] < USELESS * gains["Opti-CAM"]), evidence)
    return [lowest, useless.because(FLAT)]
