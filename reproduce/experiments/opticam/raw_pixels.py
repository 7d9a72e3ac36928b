"""Opti-CAM Table A.14: images that enter the network without its mean and standard deviation."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from reproduce.experiments.base import Claim
from reproduce.experiments.opticam.main import MainTable, accuracies, with_batch_seconds
from reproduce.experiments.opticam.saliency_experiment import SaliencyExperiment, where_comparable
from reproduce.published.numbers import labelled, published
from reproduce.saliency.requests import RAW_PIXELS, Request
from reproduce.tables.layout import Table, summarise
from reproduce.workspace.workspace import Workspace

METRICS = ("AD", "AG", "AI", "seconds")
LOST = (
    "ImageNet's networks still classify raw pixels; one that cannot (the accuracy is in the table's title) has no "
    "probability that could drop"
)
LEFT_OUT = ("Fake-CAM", "Opti-CAM")


class RawPixelTable(SaliencyExperiment):
    """The main table's figures of the same networks on raw pixels."""

    name = "opticam-raw-pixels"
    title = "Table A.14: without input normalisation"
    table = "opticam_tableA14"
    stands_in = True

    def requests(self, workspace: Workspace) -> list[Request]:
        """The methods of the published table, and the network's accuracy on raw pixels."""
        listed = set(published(self.table)["method"])
        return [
            request
            for network in self.networks(workspace)
            for request in (
                Request(network, "Network", ("accuracy",), normalised=False),
                *(
                    self.request(workspace, network, method, "seconds", "faithfulness", normalised=False)
                    for method in workspace.methods(network)
                    if method in listed
                ),
            )
        ]

    def stored_networks(self, workspace: Workspace) -> Mapping[str, str]:
        """The networks without normalisation."""
        return {labelled(name, RAW_PIXELS): paper for name, paper in self.networks(workspace).items()}

    def tables(self, workspace: Workspace) -> Mapping[str, Table]:
        """Table A.14."""
        rows = with_batch_seconds(self.rows(workspace, METRICS))
        words = accuracies(self, workspace, list(self.stored_networks(workspace)))
        caption = f"Opti-CAM Table A.14: without input normalisation; {words}"
        return {self.table: self.table_of(workspace, summarise(rows), caption)}

    def claims(self, workspace: Workspace) -> list[Claim]:
        """Appendix H: without normalisation, every method but Fake-CAM and Opti-CAM drops more."""
        raw, plain = self.rows(workspace, ["AD"]), MainTable().rows(workspace, ["AD"])
        claims = [_drops_more(network, raw, plain) for network in self.networks(workspace)]
        return [where_comparable(workspace, claim, LOST) for claim in claims]


def _drops_more(network: str, raw: pd.DataFrame, plain: pd.DataFrame) -> Claim:
    text = f"Without input normalisation every baseline's average drop is higher on {network}"
    keys = ["method", "image"]
    pairs = raw[raw["network"] == labelled(network, RAW_PIXELS)].merge(
        plain[plain["network"] == network], on=keys, suffixes=("", "_plain")
    )
    means = pairs[~pairs["method"].isin(LEFT_OUT)].groupby("method")[["value", "value_plain"]].mean()
    if means.empty:
        return Claim(text, None, "not run")
    margin = means["value"] - means["value_plain"]
    least = margin.idxmin()
    values = means.loc[least]
    evidence = f"AD {values['value']:.1f} against {values['value_plain']:.1f} of {least}"
    return Claim(text, bool((margin > 0).all()), evidence)
