"""What the Opti-CAM experiments share: their networks, their requests, and their rows in the store."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from opticam import METHODS
from reproduce.experiments.base import Experiment
from reproduce.published.numbers import published, split_label
from reproduce.saliency.papers_pictures import other_pictures
from reproduce.saliency.requests import Request
from reproduce.saliency.stored import EXPERIMENT, forget
from reproduce.tables.cells import OTHER
from reproduce.tables.layout import Table, cells
from reproduce.workspace.profile import Profile
from reproduce.workspace.workspace import Workspace

HOW_NETWORKS_RAN = {
    "fast": "",
    "half": "; networks in bfloat16",
    "exact": "; networks as they are built",
}
"""What the caption of a table says about `Workspace.optimize`."""


class SaliencyExperiment(Experiment):
    """An experiment on saliency maps.

    table: the published table whose networks it runs on, "" for all of the profile. stands_in: where the profile has
    none of these, run on its first network, beside the table's first.
    """

    paper = "Opti-CAM"
    table = ""
    stands_in = False

    def applies(self, profile: Profile) -> bool:
        """Wherever there are images and networks to explain, unless the profile has other experiments."""
        saliency = profile.saliency
        return saliency is not None and (saliency.experiments is None or self.name in saliency.experiments)

    def forget(self, workspace: Workspace) -> None:
        """Delete the rows asked for."""
        forget(workspace, self.requests(workspace))

    def networks(self, workspace: Workspace) -> dict[str, str]:
        """The profile's networks of this experiment, each with the published one it stands beside."""
        pairs = workspace.saliency.networks
        if not self.table:
            return dict(pairs)
        known = list(dict.fromkeys(published(self.table)["network"]))
        chosen = {name: paper for name, paper in pairs.items() if paper in known}
        if not chosen and self.stands_in:
            return {next(iter(pairs)): known[0]}
        return chosen

    def count(self, workspace: Workspace, method: str) -> int:
        """How many images a method, or a variant of it, is measured on; 0 leaves it out."""
        base = split_label(method)[0]
        count = workspace.profile.image_count(self.name, base, f"{self.name}/{base}")
        available = len(workspace.source.names)
        return available if count is None else min(count, available)

    def request(
        self, workspace: Workspace, network: str, method: str, *groups: str, **details: Any
    ) -> Request:
        """A method with the profile's options, on this experiment's number of images."""
        given: dict[str, Any] = {
            "options": method_options(workspace.profile, method),
            "images": self.count(workspace, method),
        }
        return Request(network, method, groups, **{**given, **details})

    def rows(
        self, workspace: Workspace, metrics: Sequence[str], methods: Callable[[str], bool] | None = None
    ) -> pd.DataFrame:
        """Stored rows of this experiment's networks and images: network, method, image, metric, value.

        methods: which labels to keep; by default those without a variant in brackets.
        """
        keep = methods or (lambda label: not split_label(label)[1])
        profile, store = workspace.profile.name, workspace.store
        parts = [
            self._method_rows(workspace, network, label, metrics)
            for network in self.stored_networks(workspace)
            for label in store.methods(profile, EXPERIMENT, network)
            if keep(label)
        ]
        columns = ["network", "method", "image", "metric", "value"]
        return pd.concat(parts, ignore_index=True)[columns] if parts else pd.DataFrame(columns=columns)

    def _method_rows(
        self, workspace: Workspace, network: str, label: str, metrics: Sequence[str]
    ) -> pd.DataFrame:
        """Rows of one method; text columns share their strings, as 50,000 images make millions of rows."""
        frame = workspace.store.frame(
            workspace.profile.name, EXPERIMENT, network=network, method=label, metric=metrics
        )
        kept = {name: name for name in workspace.source.names[: self.count(workspace, label)]}
        frame = frame[frame["image"].isin(kept)]
        known = {name: name for name in metrics}
        return frame.assign(
            network=network, method=label, image=frame["image"].map(kept), metric=frame["metric"].map(known)
        )

    def stored_networks(self, workspace: Workspace) -> Mapping[str, str]:
        """The labels of the networks in the store, each with the published network it stands beside."""
        return self.networks(workspace)

    def table_of(
        self,
        workspace: Workspace,
        measured: pd.DataFrame,
        caption: str,
        **options: Any,
    ) -> Table:
        """The published table with the measured means beside it, for this experiment's networks."""
        beside, apart = self.stored_networks(workspace), self._apart(workspace)
        wanted: dict[str, Any] = {"comparable": lambda cell: not apart(cell), "why": apart}
        wanted |= {name: options.pop(name) for name in ("comparable", "why", "methods") if name in options}
        wanted["rows"] = wanted.pop("methods", None)  # `rows` of a Table is the column that names its lines
        columns = list(dict.fromkeys(beside.values()))
        found = cells(published(self.table), measured, beside=beside, columns=columns, **wanted)
        return Table(found, caption + HOW_NETWORKS_RAN[workspace.optimize], **options)

    def _apart(self, workspace: Workspace) -> Callable[[pd.Series], str]:
        """Why a cell is not of the published network or pictures; "" where it is."""
        saliency, beside = workspace.saliency, self.stored_networks(workspace)
        own = {label: saliency.networks[split_label(label)[0]] == paper for label, paper in beside.items()}

        def apart(cell: pd.Series) -> str:
            if not (saliency.comparable and own.get(cell["measured_network"], True)):
                return OTHER
            if pd.isna(cell["tolerance"]):  # never compared, and why there is none says more
                return ""
            return other_pictures(workspace, cell["n"], cell["n_images"])

        return apart


class MeasuredBeside(SaliencyExperiment):
    """An experiment beside one published table, or a figure that is read like a table.

    figure: the published figure whose numbers are beside those measured, "" where they are those of `table`.
    """

    figure = ""

    @abstractmethod
    def measured(self, workspace: Workspace) -> pd.DataFrame:
        """Stored rows by the methods and metrics of the published table or figure."""

    def results(self, workspace: Workspace) -> Mapping[str, pd.DataFrame]:
        """The published table or figure."""
        rows = self.measured(workspace)
        return {self.figure or self.table: beside_published(rows, self.stored_networks(workspace))}


class TablePart(SaliencyExperiment):
    """The networks of one published table, of an experiment that fills several."""

    def __init__(self, table: str) -> None:
        self.table = table


def beside_published(rows: pd.DataFrame, networks: Mapping[str, str]) -> pd.DataFrame:
    """The rows of some networks under their published names; `own` keeps the label they were measured under."""
    own = rows["network"]
    return rows.assign(own=own, network=own.map(networks))[own.isin(networks)]


def in_order(labels: Iterable[str]) -> list[str]:
    """Labels in the order of the papers' tables, unknown ones last."""
    places = {name: place for place, name in enumerate(METHODS)}
    return sorted(labels, key=lambda label: places.get(split_label(label)[0], len(places)))


def image_counts(rows: pd.DataFrame) -> str:
    """How many images the rows are of, in words; methods may differ."""
    counts = rows.groupby("method")["image"].nunique()
    low, high = (counts.min(), counts.max()) if len(counts) else (0, 0)
    return f"{low} images" if low == high else f"{low} to {high} images per method"


def method_options(profile: Profile, method: str) -> dict[str, Any]:
    """The profile's arguments of a method's class."""
    if profile.saliency is None:
        return {}
    own = {"iterations": profile.saliency.iterations} if method == "Opti-CAM" else {}
    return own | dict(profile.saliency.options.get(method, {}))


def common_images(rows: pd.DataFrame, metric: str, methods: Iterable[str]) -> pd.DataFrame:
    """Values by image and method, of the images that all methods were measured on."""
    chosen = rows[rows["metric"] == metric].pivot(index="image", columns="method", values="value")
    return chosen.reindex(columns=list(methods)).dropna()


def of_network(rows: pd.DataFrame, network: str) -> pd.DataFrame:
    """The rows of one network."""
    return rows[rows["network"] == network]
