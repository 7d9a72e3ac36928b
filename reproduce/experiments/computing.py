"""Compute what experiments lack, in one process or in all that torchrun started."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import pandas as pd

from reproduce.experiments import Experiment
from reproduce.saliency import evaluation, stored
from reproduce.saliency.requests import Request
from reproduce.workspace.paths import PROFILES
from reproduce.workspace.processes import gather, is_first, merge_ranks, several, share, wait
from reproduce.workspace.workspace import Workspace

NETWORKS = "networks: trained or read"
MAPS = "saliency maps and their metrics"
Record = Callable[[str, float], None]
"""Takes the name of a stage that is done, and the seconds it took."""
MEASURED = PROFILES / "stage_seconds.csv"
"""Seconds by profile, limit and stage, on 2 cores of an AMD EPYC of 2.6 GHz; `environment.sh` reads it, too."""


@dataclass(frozen=True)
class Stages:
    """Tells when each stage begins and ends, in lines that `reproduce/environment.sh` reads.

    record: told of every stage that is done. expected: seconds that a stage takes at most where all is to be
    computed. title: told before each stage, where others have stages of the same names. Of several processes the first
    one tells.
    """

    record: Record = lambda stage, seconds: None
    expected: Mapping[str, float] = field(default_factory=dict)
    title: str = ""

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """What is done inside is the stage of that name."""
        known = name in self.expected
        limit = f", expected up to {math.ceil(self.expected[name])} s" if known else ""
        told = f"{self.title}: {name}" if self.title else name
        if is_first():
            print(f"stage {told}: begins{limit}", flush=True)
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        if is_first():
            print(f"stage {told}: done in {seconds:.1f} s{limit}", flush=True)
            self.record(name, seconds)


def expected_seconds(workspace: Workspace) -> Mapping[str, float]:
    """Seconds by stage. Of this store's runs of the same profile and limit the longest counts: it did the work."""
    name, limit = _size(workspace)
    table = pd.read_csv(MEASURED, dtype={"limit": str}, keep_default_na=False)
    chosen = table[(table["profile"] == name) & (table["limit"] == limit)]
    here = own_stages(workspace).groupby("stage")["seconds"].max()
    return dict(zip(chosen["stage"], chosen["seconds"].astype(float))) | here.to_dict()


def own_stages(workspace: Workspace) -> pd.DataFrame:
    """The stages of this store's runs of the same profile and limit: a first look shares the whole run's store.

    Columns run, stage, seconds, as of `Store.stages`.
    """
    runs, stages = workspace.store.runs(), workspace.store.stages()
    same = [
        run["id"]
        for run in runs.to_dict("records")
        if (run["arguments"].get("profile"), run["arguments"].get("limit", "")) == _size(workspace)
    ]
    return stages[stages["run"].isin(same)].reset_index(drop=True)


def _size(workspace: Workspace) -> tuple[str, str]:
    """Profile and limit, as the record of a run has them."""
    return workspace.profile.name, str(workspace.profile.limit or "")


class Computation:
    """What a profile's experiments lack, computed step by step by all processes of a group.

    force: forget first what the experiments have stored. stages: told of every stage.
    """

    def __init__(
        self,
        workspace: Workspace,
        experiments: Sequence[Experiment],
        force: bool = False,
        stages: Stages | None = None,
    ) -> None:
        self.workspace, self.experiments, self.force = workspace, experiments, force
        self.stages = stages or Stages()
        self.missing: list[list[evaluation.Lacking]] = []

    def look(self) -> None:
        """Find out which saliency maps are missing; networks are loaded for it."""
        if is_first():
            merge_ranks(self.workspace)
            for experiment in self.experiments if self.force else ():
                experiment.forget(self.workspace)
        with self.stages.stage(NETWORKS):
            requests = _requests(self.workspace, self.experiments)
        self.missing = evaluation.look(self.workspace, requests)

    def make_maps(self) -> None:
        """Saliency maps and their metrics."""
        with self.stages.stage(MAPS) if self.missing else nullcontext():
            evaluation.compute(self.workspace, self.missing)

    def do_the_rest(self) -> None:
        """What experiments compute themselves."""
        for experiment in self.experiments:
            own = type(experiment).run is not Experiment.run
            with self.stages.stage(experiment.name) if own else nullcontext():
                experiment.run(self.workspace)
        gather(self.workspace)


def compute(*computations: Computation) -> None:
    """Compute and store what is missing; inside a `process_group` the processes share it, and none waits between one
    profile's maps and the next one's."""
    for one in computations:
        one.look()
    wait()  # nobody stores before all have looked
    for one in computations:
        one.make_maps()
    wait()  # figures read the maps that other processes made
    for one in computations:
        one.do_the_rest()


def _requests(workspace: Workspace, experiments: Sequence[Experiment]) -> list[Request]:
    """The saliency maps of all experiments, so that each is made once."""
    _bring_networks(workspace, experiments)
    requests = [request for experiment in experiments for request in experiment.requests(workspace)]
    if is_first():
        stored.discard_outdated(workspace, requests)
    wait()  # nobody asks what is stored before
    return requests


def _bring_networks(workspace: Workspace, experiments: Sequence[Experiment]) -> None:
    """Several processes share the networks that are downloaded at first use; all others each loads for itself.

    One process brings each when it is asked for, so that wrong pictures are told of first.
    """
    wait()  # until the first process has merged and forgotten
    if several():
        networks = dict.fromkeys(
            name for experiment in experiments for name in experiment.networks(workspace)
        )
        for network in share([name for name in networks if workspace.is_downloaded(name)]):
            workspace.classifier(network)
        wait()
