"""What the store holds of maps and their metrics: what counts as done, what is outdated, what is forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from reproduce.saliency.metric_groups import GROUPS
from reproduce.saliency.requests import Request, by_network
from reproduce.workspace.sources import load_batch
from reproduce.workspace.workspace import Workspace

EXPERIMENT = "saliency"
"""Of all experiments that read the same maps; in skips, images that cannot be read."""
WITHOUT_BOXES = "saliency/boxes"
"""In skips, images whose localisation cannot be measured."""
DEFINITION, BOX_DEFINITION = "definition", "definition of boxes"
"""Metrics under which digests of what a method's rows depend on are stored, so that old results are recognised."""
BOX_METRICS = [name for group in GROUPS.values() if group.needs_boxes for name in group.names]


def unknown_labels(network: str) -> str:
    """In skips, images with a label that is not among a network's classes; the network by its name in the store."""
    return f"saliency/labels/{network}"


def definitions(workspace: Workspace, request: Request, classifier: str) -> dict[str, float]:
    """Whole numbers, exact in a float64, that change with what a method's rows depend on, by their metric.

    classifier: a `classifier_digest`. The boxes have one of their own, where they are given apart from the pictures.
    """
    digests = {DEFINITION: request.map_key(classifier, workspace.picture_set, "").digest}
    if workspace.source.boxes_fingerprint:
        digests[BOX_DEFINITION] = workspace.source.boxes_fingerprint
    return {metric: float(int(digest[:12], 16)) for metric, digest in digests.items()}


def done(workspace: Workspace, network: str, method: str, group: str) -> set[str]:
    """Images that need no more work for a group of metrics: measured, unreadable, or of no class of the network."""
    profile, store = workspace.profile.name, workspace.store
    skips = store.skips(profile, EXPERIMENT, unknown_labels(network))
    return store.done(profile, EXPERIMENT, network, method, GROUPS[group].names) | set(skips.image)


def skipped(workspace: Workspace) -> pd.DataFrame:
    """Images that are unreadable, or of no class of some network: columns image and reason."""
    profile, store = workspace.profile.name, workspace.store
    return store.skips(profile, *(kind for kind in store.skip_kinds(profile) if kind != WITHOUT_BOXES))


def forget(workspace: Workspace, requests: Iterable[Request]) -> None:
    """Delete what `requests` ask for: their metrics on their images, the maps that are kept of these, and their skips.

    Other images, of the whole run beside a first look, keep theirs.
    """
    profile, store, requests = workspace.profile.name, workspace.store, list(requests)
    names = workspace.source.names
    for kind in (EXPERIMENT, WITHOUT_BOXES, *map(unknown_labels, by_network(requests))):
        store.forget_skips(profile, kind, names if workspace.profile.limit else None)
    for request in requests:
        images = names[: request.images]
        if images:
            key = request.stored_network, request.method
            workspace.forget_maps(*key, images)
            metrics = [name for group in request.groups for name in GROUPS[group].names]
            store.delete(profile, EXPERIMENT, network=key[0], method=key[1], image=images, metric=metrics)


def discard_outdated(workspace: Workspace, requests: Iterable[Request]) -> None:
    """Delete results of methods whose network, pictures, labels or options were others when they were made.

    Of other boxes the metrics that read them go. Skips for reasons that are gone are forgotten.
    """
    networks = by_network(requests)
    if networks:  # a profile without them may have no images
        _forget_readable(workspace)
    for network, methods in networks.items():
        _discard_of_network(workspace, network, methods)


def _discard_of_network(workspace: Workspace, network: str, methods: Mapping[str, Sequence[Request]]) -> None:
    profile, store = workspace.profile.name, workspace.store
    known = store.methods(profile, EXPERIMENT, network)  # first: another run may be adding some just now
    stored, boxes = (_stored(workspace, network, metric) for metric in (DEFINITION, BOX_DEFINITION))
    first = next(iter(methods.values()))[0]
    digest = workspace.digest(first.network, first.normalised)
    now = {name: definitions(workspace, methods[name][0], digest) for name in set(methods) & set(known)}
    outdated = [name for name in now if stored.get(name) != now[name][DEFINITION]]
    of_other_boxes = [
        name for name in now if name in boxes and boxes[name] != now[name].get(BOX_DEFINITION, boxes[name])
    ]
    for name in outdated:
        store.delete(profile, EXPERIMENT, network=network, method=name)
    for name in of_other_boxes:
        store.delete(profile, EXPERIMENT, network=network, method=name, metric=BOX_METRICS)
    if len(outdated) == len(now):  # no row says that the labels are still those of the skips
        store.forget_skips(profile, unknown_labels(network))
    if of_other_boxes:
        store.forget_skips(profile, WITHOUT_BOXES)


def _stored(workspace: Workspace, network: str, metric: str) -> dict[str, float]:
    """A definition as stored, by method."""
    frame = workspace.store.frame(workspace.profile.name, EXPERIMENT, network=network, metric=metric)
    return dict(zip(frame["method"], frame["value"]))


def _forget_readable(workspace: Workspace) -> None:
    """Try the images again that could not be read, and forget the skips of those that now can."""
    profile, store, source = workspace.profile.name, workspace.store, workspace.source
    places = {name: place for place, name in enumerate(source.names)}
    tried = [name for name in store.skips(profile, EXPERIMENT).image if name in places]
    unreadable = {name for name in tried if load_batch(source, range(places[name], places[name] + 1))[1]}
    store.forget_skips(profile, EXPERIMENT, set(tried) - unreadable)
