"""Compute each saliency map once, let every metric read it, and store one row an image and metric."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import torch
from tqdm.auto import tqdm

from opticam import METHODS, Classifier
from opticam.metrics import faithfulness, target_probability
from opticam.saliency import SaliencyMethod
from reproduce.sources import Batch, load_batch
from reproduce.store import Row, batch_rows
from reproduce.workspace import Workspace

EXPERIMENT = "saliency"  # one name in the store for all experiments that read the same maps


@dataclass(frozen=True)
class Evaluated:
    """What a metric may read: a batch, its maps [B,H,W] and the class probabilities [B] of the plain images."""

    classifier: Classifier
    batch: Batch
    maps: torch.Tensor
    probabilities: torch.Tensor


def _faithfulness(given: Evaluated) -> Mapping[str, torch.Tensor]:
    batch = given.batch
    return faithfulness(given.classifier, batch.images, given.maps, batch.labels, given.probabilities)


@dataclass(frozen=True)
class MetricGroup:
    """Metrics that are computed together."""

    names: tuple[str, ...]
    compute: Callable[[Evaluated], Mapping[str, torch.Tensor]]


GROUPS: dict[str, MetricGroup] = {"faithfulness": MetricGroup(("AD", "AG", "AI"), _faithfulness)}


@dataclass(frozen=True)
class Request:
    """Maps that an experiment needs: a method on a network, and what to measure on them.

    method: the label in the store. options: arguments of the method's class that make the variant.
    """

    network: str
    method: str
    groups: tuple[str, ...] = ("faithfulness",)
    kind: str | None = None
    options: Mapping[str, object] = field(default_factory=dict)

    def build(self, classifier: Classifier) -> SaliencyMethod:
        """The method, ready to explain."""
        return METHODS[self.kind or self.method](classifier, **self.options)

    @property
    def metrics(self) -> list[str]:
        """Names of all metrics asked for, with the seconds an image."""
        return ["seconds", *(name for group in self.groups for name in GROUPS[group].names)]


def merged(requests: Iterable[Request]) -> list[Request]:
    """One request a network and method, with the metric groups of all; so that no map is computed twice."""
    by_key: dict[tuple[str, str], Request] = {}
    for request in requests:
        key = request.network, request.method
        known = by_key.get(key, request)
        if (known.kind, dict(known.options)) != (request.kind, dict(request.options)):
            raise ValueError(f"requests: {key} is asked for with different options")
        groups = tuple(dict.fromkeys(known.groups + request.groups))
        by_key[key] = Request(*key, groups, request.kind, request.options)
    return list(by_key.values())


def evaluate(workspace: Workspace, requests: Iterable[Request]) -> None:
    """Compute and store what is missing of `requests`.

    Batches are cut from the image list at fixed places, so a resumed run sees the same batches as an
    uninterrupted one and ends with the same numbers. Under torchrun each process takes every n-th batch.
    """
    by_network: dict[str, list[Request]] = {}
    for request in merged(requests):
        by_network.setdefault(request.network, []).append(request)
    for network, wanted in by_network.items():
        todo = _missing(workspace, wanted)
        if todo:
            _evaluate_network(workspace, network, todo)


def forget(workspace: Workspace, requests: Iterable[Request]) -> None:
    """Delete the stored rows of `requests`, all metrics of them."""
    for request in merged(requests):
        names = {"network": request.network, "method": request.method}
        workspace.store.delete(workspace.profile.name, EXPERIMENT, **names)


def _missing(workspace: Workspace, requests: list[Request]) -> dict[range, list[Request]]:
    """Requests that lack rows, for each batch of this process."""
    names = workspace.source.names
    size = workspace.profile.saliency.batch_size
    batches = [range(start, min(start + size, len(names))) for start in range(0, len(names), size)]
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    skipped = set(workspace.store.skips(workspace.profile.name, EXPERIMENT).image)
    done = {
        request.method: skipped
        | workspace.store.done(
            workspace.profile.name, EXPERIMENT, request.network, request.method, request.metrics
        )
        for request in requests
    }
    todo = {
        batch: [r for r in requests if any(names[index] not in done[r.method] for index in batch)]
        for batch in batches[rank::world]
    }
    return {batch: lacking for batch, lacking in todo.items() if lacking}


def _evaluate_network(workspace: Workspace, network: str, todo: dict[range, list[Request]]) -> None:
    classifier = workspace.classifier(network)
    methods = {r.method: r.build(classifier) for lacking in todo.values() for r in lacking}
    total = sum(len(batch) * len(lacking) for batch, lacking in todo.items())
    with tqdm(total=total, desc=network, unit="map", disable=not workspace.progress) as bar:
        for indices, lacking in todo.items():
            batch, unreadable = load_batch(workspace.source, indices)
            for name, reason in unreadable.items():
                workspace.sink.skip(workspace.profile.name, EXPERIMENT, name, reason)
            if batch is None:
                continue
            batch = batch.to(workspace.device)
            probabilities = target_probability(classifier, batch.images, batch.labels)
            for request in lacking:
                bar.set_postfix_str(request.method)
                rows = _measure(workspace, request, methods[request.method], batch, probabilities)
                workspace.sink.write(rows)
                bar.update(len(indices))


def _measure(
    workspace: Workspace,
    request: Request,
    method: SaliencyMethod,
    batch: Batch,
    probabilities: torch.Tensor,
) -> list[Row]:
    start = time.perf_counter()
    maps = method(batch.images, batch.labels)
    if maps.is_cuda:
        torch.cuda.synchronize(maps.device)
    seconds = (time.perf_counter() - start) / len(batch)
    given = Evaluated(method.classifier, batch, maps, probabilities)
    values = {"seconds": [seconds] * len(batch)}
    for group in request.groups:
        values |= {name: column.tolist() for name, column in GROUPS[group].compute(given).items()}
    return batch_rows(
        workspace.profile.name, EXPERIMENT, request.network, request.method, batch.names, values
    )
