"""Compute what experiments lack, in one process or in all that torchrun started."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from reproduce.experiments import Experiment
from reproduce.saliency.evaluation import discard_outdated, evaluate
from reproduce.saliency.requests import Request
from reproduce.workspace.processes import gather, merge_ranks, process_group, several, share, wait
from reproduce.workspace.workspace import Workspace

NETWORKS = "networks: trained or read"
MAPS = "saliency maps and their metrics"
Record = Callable[[str, float], None]
"""Takes the name of a stage that is done, and the seconds it took."""


def compute(
    workspace: Workspace,
    experiments: Sequence[Experiment],
    force: bool = False,
    record: Record = lambda stage, seconds: None,
) -> bool:
    """Compute and store what is missing; true in the process whose store holds everything afterwards.

    force: forget first what the experiments have stored. record: told of every stage, in the first process.
    """
    with process_group() as rank:
        if rank == 0:
            merge_ranks(workspace)
            for experiment in experiments if force else ():
                experiment.forget(workspace)
        start = time.perf_counter()
        requests = _requests(workspace, experiments, rank)
        if rank == 0:
            record(NETWORKS, time.perf_counter() - start)
        start = time.perf_counter()
        evaluate(workspace, requests)
        wait()  # figures read the maps that other processes made
        if requests and rank == 0:
            _report(MAPS, start, record)
        for experiment in experiments:
            _run(experiment, workspace, rank, record)
        gather(workspace)
    return rank == 0


def _requests(workspace: Workspace, experiments: Sequence[Experiment], rank: int) -> list[Request]:
    """The saliency maps of all experiments, so that each is made once."""
    _bring_networks(workspace, experiments)
    requests = [request for experiment in experiments for request in experiment.requests(workspace)]
    if rank == 0:
        discard_outdated(workspace, requests)
    wait()  # nobody asks what is stored before
    return requests


def _bring_networks(workspace: Workspace, experiments: Sequence[Experiment]) -> None:
    """Several processes share the networks, which are trained or downloaded at first use.

    One process brings each when it is asked for, so that wrong pictures are told of first.
    """
    wait()  # until the first process has merged and forgotten
    if several():
        networks = dict.fromkeys(
            name for experiment in experiments for name in experiment.networks(workspace)
        )
        for network in share(networks):
            workspace.classifier(network)
        wait()


def _run(experiment: Experiment, workspace: Workspace, rank: int, record: Record) -> None:
    start = time.perf_counter()
    experiment.run(workspace)
    if rank == 0 and type(experiment).run is not Experiment.run:
        _report(experiment.name, start, record)


def _report(stage: str, start: float, record: Record) -> None:
    seconds = time.perf_counter() - start
    print(f"{stage}: computed in {seconds:.1f} s", flush=True)
    record(stage, seconds)
