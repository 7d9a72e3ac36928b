"""Compute each saliency map once, let every metric read it, and store one row per image and metric."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import torch
from tqdm.auto import tqdm

from opticam.saliency import SaliencyMethod
from reproduce.saliency.explained_batch import Evaluated, View, timed_maps
from reproduce.saliency.label_check import LabelCheck
from reproduce.saliency.metric_groups import GROUPS
from reproduce.saliency.passes import of_images
from reproduce.saliency.requests import Request, by_network
from reproduce.saliency.stored import EXPERIMENT, WITHOUT_BOXES, definitions, done, unknown_labels
from reproduce.workspace.processes import share_shown
from reproduce.workspace.sources import Batch, load_batch
from reproduce.workspace.store import batch_rows
from reproduce.workspace.workspace import Workspace

CHANNELS = 512
"""Taken for a target layer's where methods are put in order, before any network is loaded."""


class Lacking(NamedTuple):
    """What a batch lacks of one method.

    batch: places of its images. extent: of how many of the first of them the maps are made, whatever is stored
    already. groups: the metric groups that lack rows, each for so many of the first images.
    """

    batch: range
    request: Request
    extent: int
    groups: Mapping[str, int]


def look(workspace: Workspace, requests: Iterable[Request]) -> list[list[Lacking]]:
    """What is missing of `requests`, by network."""
    return [_missing(workspace, methods) for methods in by_network(requests).values()]


def compute(workspace: Workspace, missing: Iterable[list[Lacking]]) -> None:
    """Compute and store what was found missing; the processes of a group, each of which has looked, share it.

    Batches are cut from the image list at fixed places, and their maps are made together even where some
    metrics of them are stored; so a resumed run sees the same batches as an uninterrupted one and ends with the
    same numbers. Images that cannot be read, with a label that the network does not know, or without the boxes
    that a metric needs are recorded as skips.
    """
    for lacking in missing:
        if lacking:
            _evaluate_network(workspace, lacking)


def batches(workspace: Workspace) -> list[range]:
    """Indices of all batches, of all processes."""
    count, size = len(workspace.source.names), workspace.saliency.batch_size
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def _missing(workspace: Workspace, methods: Mapping[str, list[Request]]) -> list[Lacking]:
    """What is lacking of one network: batch by batch, and in each what takes longest first."""
    found = lru_cache(maxsize=None)(partial(done, workspace))
    lacking = []
    for batch in batches(workspace):
        names = [workspace.source.names[index] for index in batch]
        for method, wanted in sorted(methods.items(), key=lambda item: -_work(workspace, item[1], batch)):
            due = due_groups(wanted, batch)
            left = {
                group: count
                for group, count in due.items()
                if not found(wanted[0].stored_network, method, group).issuperset(names[:count])
            }
            if left:
                lacking.append(Lacking(batch, wanted[0], max(due.values()), left))
    return lacking


def _work(workspace: Workspace, wanted: list[Request], batch: range) -> float:
    """About how long a method takes on a batch: passes; one backward is as long as one forward, as no weight has a
    gradient."""
    passes = of_images(wanted[0], due_groups(wanted, batch), CHANNELS, workspace.source.size[-1])
    return passes.forward + passes.backward


def due_groups(wanted: list[Request], batch: range) -> dict[str, int]:
    """For how many of a batch's images each group of metrics is asked for."""
    due: dict[str, int] = {}
    for request in wanted:
        count = len(batch) if request.images is None else min(len(batch), request.images - batch.start)
        for group in request.groups if count > 0 else ():
            due[group] = max(count, due.get(group, 0))
    return due


def _evaluate_network(workspace: Workspace, missing: Sequence[Lacking]) -> None:
    bench, labels = _Bench(workspace, missing[0].request), LabelCheck(missing[0].request.stored_network)
    boxed = {one.batch for one in missing if any(GROUPS[group].needs_boxes for group in one.groups)}

    @lru_cache(maxsize=1)  # the methods of a batch follow each other
    def view_of(batch: range) -> View | None:
        view = _view(bench, batch, batch in boxed)
        if view:
            labels.see(view)
        return view

    total = sum(one.extent for one in missing)
    with tqdm(total=total, desc=bench.name, unit="map", disable=not workspace.progress) as bar:
        for one in share_shown(missing, bar, lambda one: one.extent):
            bar.set_postfix_str(one.request.method)
            view = view_of(one.batch)
            if view:
                _measure(workspace, bench, view, one)


def evaluated(
    workspace: Workspace, requests: Sequence[Request], counts: Sequence[int]
) -> Iterator[Evaluated]:
    """The maps of one network's requests, each on so many of the first images, ready to be read; nothing is stored."""
    bench, indices = _Bench(workspace, requests[0]), range(max(counts))
    view = _view(bench, indices, with_boxes=False)
    if view is None:
        return
    for request, count in zip(requests, counts):
        yield bench.evaluated(view.first(workspace.source.names[:count]), request, indices)


class _Bench:
    """One network with the methods of the requests on it, each made at first use."""

    def __init__(self, workspace: Workspace, first: Request) -> None:
        self.workspace, self.name = workspace, first.stored_network
        self.classifier = workspace.classifier(first.network, first.normalised)
        self.digest = workspace.digest(first.network, first.normalised)
        self._methods: dict[str, SaliencyMethod] = {}

    def evaluated(
        self, view: View, request: Request, indices: range, keeps_course: bool = False
    ) -> Evaluated:
        """A view under one method, with the maps' place in the cache; keeps_course: as `timed_maps` takes it."""
        start = self.workspace.source.names[indices.start]
        key = request.map_key(self.digest, self.workspace.picture_set, start)
        method = partial(self._method, request)
        cache = self.workspace.map_cache(indices)
        make = partial(timed_maps, view, method, cache, key, keeps_course)
        return Evaluated(view, request, method, make)

    def _method(self, request: Request) -> SaliencyMethod:
        if request.method not in self._methods:
            self._methods[request.method] = request.build(self.classifier)
        return self._methods[request.method]


def _view(bench: _Bench, indices: range, with_boxes: bool) -> View | None:
    """The batch and its logits; images that cannot be measured are recorded and left out."""
    workspace, classifier = bench.workspace, bench.classifier
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
        _skip(workspace, unknown_labels(bench.name), {batch.names[row]: reason for row in unknown})
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


def _measure(workspace: Workspace, bench: _Bench, view: View, lacking: Lacking) -> None:
    """Compute the lacking groups of one method on a batch, and store all rows in one transaction."""
    names = workspace.source.names[lacking.batch.start : lacking.batch.stop]
    request, first = lacking.request, view.first(names[: lacking.extent])
    if not len(first.batch):
        return
    keeps_course = any(GROUPS[group].reads_course for group in lacking.groups)
    given = bench.evaluated(first, request, lacking.batch, keeps_course)
    key = workspace.profile.name, EXPERIMENT, request.stored_network, request.method
    made_of = definitions(workspace, request, bench.digest)
    rows = batch_rows(*key, [""], {metric: [value] for metric, value in made_of.items()})
    # Groups of equally many images read the same curves.
    parts = {count: given.first(names[:count]) for count in set(lacking.groups.values())}
    for group, count in lacking.groups.items():
        part = parts[count]
        if len(part.batch):
            columns = {name: column.tolist() for name, column in GROUPS[group].compute(part).items()}
            rows += batch_rows(*key, part.batch.names, columns)
    workspace.sink.write(rows)
