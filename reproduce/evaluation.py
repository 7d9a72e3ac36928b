"""Compute each saliency map once, let every metric read it, and store one row an image and metric."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial

import torch
from tqdm.auto import tqdm

from opticam import Classifier
from opticam.saliency import SaliencyMethod
from reproduce.evaluated import Evaluated, View, timed_maps
from reproduce.map_cache import classifier_digest, map_key
from reproduce.metric_groups import GROUPS
from reproduce.requests import Request, by_network
from reproduce.sources import Batch, load_batch
from reproduce.store import batch_rows
from reproduce.workspace import Workspace

EXPERIMENT = "saliency"  # one name in the store for all experiments that read the same maps
WITHOUT_BOXES = "saliency/boxes"  # skips: images whose localisation cannot be measured

Lacking = Mapping[str, tuple[Request, Mapping[str, int]]]
"""By method: its definition, and the metric groups that a batch lacks, each for so many of its first images."""


def evaluate(workspace: Workspace, requests: Iterable[Request]) -> None:
    """Compute and store what is missing of `requests`.

    Batches are cut from the image list at fixed places and their maps are always computed whole, so a resumed
    run sees the same batches as an uninterrupted one and ends with the same numbers. Under torchrun each
    process takes every n-th batch. Images that cannot be read, with a label that the network does not know,
    or without the boxes that a metric needs are recorded as skips.
    """
    for methods in by_network(requests).values():
        todo = _missing(workspace, methods)
        if todo:
            _evaluate_network(workspace, todo)


def forget(workspace: Workspace, requests: Iterable[Request]) -> None:
    """Delete what `requests` ask for, their metrics only, and the skips."""
    for network, methods in by_network(requests).items():
        for method, wanted in methods.items():
            names = {name for request in wanted for group in request.groups for name in GROUPS[group].names}
            workspace.store.delete(
                workspace.profile.name, EXPERIMENT, network=network, method=method, metric=names
            )


def batches(workspace: Workspace) -> list[range]:
    """Indices of all batches, of all processes."""
    count, size = len(workspace.source.names), workspace.profile.saliency.batch_size
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def _missing(workspace: Workspace, methods: Mapping[str, list[Request]]) -> dict[range, Lacking]:
    """What each batch of this process lacks."""
    rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
    done = lru_cache(maxsize=None)(partial(_done, workspace))
    todo = {}
    for batch in batches(workspace)[rank::world]:
        names = [workspace.source.names[index] for index in batch]
        lacking = {}
        for method, wanted in methods.items():
            left = {
                group: count
                for group, count in _due(wanted, batch).items()
                if not done(wanted[0].stored_network, method, group).issuperset(names[:count])
            }
            if left:
                lacking[method] = wanted[0], left
        if lacking:
            todo[batch] = lacking
    return todo


def _due(wanted: list[Request], batch: range) -> dict[str, int]:
    """For how many of a batch's images each group of metrics is asked for."""
    due: dict[str, int] = {}
    for request in wanted:
        count = len(batch) if request.images is None else min(len(batch), request.images - batch.start)
        for group in request.groups if count > 0 else ():
            due[group] = max(count, due.get(group, 0))
    return due


def _done(workspace: Workspace, network: str, method: str, group: str) -> set[str]:
    """Images that need no more work for a group of metrics: measured, or known to be unreadable."""
    profile, store = workspace.profile.name, workspace.store
    return store.done(profile, EXPERIMENT, network, method, GROUPS[group].names) | set(
        store.skips(profile, EXPERIMENT).image
    )


def _evaluate_network(workspace: Workspace, todo: Mapping[range, Lacking]) -> None:
    bench = _Bench(workspace, [request for lacking in todo.values() for request, _ in lacking.values()])
    total = sum(len(batch) * len(lacking) for batch, lacking in todo.items())
    with tqdm(total=total, desc=bench.name, unit="map", disable=not workspace.progress) as bar:
        for indices, lacking in todo.items():
            groups = {group for _, wanted in lacking.values() for group in wanted}
            view = _view(workspace, bench.classifier, indices, any(GROUPS[g].needs_boxes for g in groups))
            for method, (request, wanted) in lacking.items() if view else ():
                bar.set_postfix_str(method)
                names = workspace.source.names[indices.start : indices.stop]
                _measure(workspace, bench.evaluated(view, request, indices), names, wanted)
                bar.update(len(indices))


def evaluated(workspace: Workspace, requests: list[Request], indices: range) -> Iterator[Evaluated]:
    """The maps of one network's requests on a batch, ready to be read; nothing is stored."""
    bench = _Bench(workspace, requests)
    view = _view(workspace, bench.classifier, indices, with_boxes=False)
    for request in requests if view else ():
        yield bench.evaluated(view, request, indices)


class _Bench:
    """One network with the methods of the requests on it, each made at first use."""

    def __init__(self, workspace: Workspace, requests: list[Request]) -> None:
        first = requests[0]
        self.workspace, self.name = workspace, first.stored_network
        self.classifier = workspace.classifier(first.network, first.normalised)
        self._digest = classifier_digest(self.classifier)
        self._methods: dict[str, SaliencyMethod] = {}

    def evaluated(self, view: View, request: Request, indices: range) -> Evaluated:
        """A view under one method, with the maps' place in the cache."""
        key = map_key(request, self._digest, self.workspace.picture_set, view.batch.names)
        method = partial(self._method, request)
        make = partial(timed_maps, view, request, method, self.workspace.map_cache(indices), key)
        return Evaluated(view, request, method, make)

    def _method(self, request: Request) -> SaliencyMethod:
        if request.method not in self._methods:
            self._methods[request.method] = request.build(self.classifier)
        return self._methods[request.method]


def _view(workspace: Workspace, classifier: Classifier, indices: range, with_boxes: bool) -> View | None:
    """The batch and its logits; images that cannot be measured are recorded and left out."""
    batch, unreadable = load_batch(workspace.source, indices, with_boxes)
    _skip(workspace, EXPERIMENT, unreadable)
    if batch is None:
        return None
    batch = batch.to(workspace.device)
    with torch.no_grad():
        logits = classifier(batch.images)
    known = batch.labels < logits.shape[1]
    if not known.all():
        reason = f"its label is not among the network's {logits.shape[1]} classes"
        unknown = (~known).nonzero()[:, 0].tolist()
        _skip(workspace, EXPERIMENT, {batch.names[row]: reason for row in unknown})
        rows = known.nonzero()[:, 0].tolist()
        batch, logits = batch.part(rows), logits[rows]
    if with_boxes:
        _skip(workspace, WITHOUT_BOXES, _boxless(batch))
    return View(classifier, batch, logits) if len(batch) else None


def _boxless(batch: Batch) -> dict[str, str]:
    return {
        name: "no object boxes" for name, boxes in zip(batch.names, batch.boxes["paper"]) if not len(boxes)
    }


def _skip(workspace: Workspace, experiment: str, reasons: Mapping[str, str]) -> None:
    for name, reason in reasons.items():
        workspace.sink.skip(workspace.profile.name, experiment, name, reason)


def _measure(workspace: Workspace, given: Evaluated, names: Sequence[str], groups: Mapping[str, int]) -> None:
    """Compute each group on so many of the batch's `names`, and store all rows in one transaction."""
    rows = []
    for group, count in groups.items():
        wanted = set(names[:count])
        part = given.part([row for row, name in enumerate(given.batch.names) if name in wanted])
        if len(part.batch):
            columns = {name: column.tolist() for name, column in GROUPS[group].compute(part).items()}
            key = workspace.profile.name, EXPERIMENT, given.request.stored_network, given.request.method
            rows += batch_rows(*key, part.batch.names, columns)
    workspace.sink.write(rows)
