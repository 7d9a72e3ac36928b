"""What the Opti-CAM experiments ask for: a method on a network, and which metrics of its maps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from opticam import METHODS, Classifier
from opticam.saliency import SaliencyMethod
from reproduce.published.numbers import labelled
from reproduce.saliency.baselines import BASELINES
from reproduce.workspace.map_cache import MapKey, facts_digest

RAW_PIXELS = "no normalisation"
"""The variant of a network whose images enter without mean and standard deviation (Opti-CAM, App. H)."""


@dataclass(frozen=True)
class Request:
    """Maps that an experiment needs: a method on a network, and what to measure on them.

    method: the label in the store. groups: names of `reproduce.saliency.metric_groups.GROUPS`. kind: the method's name
    in `opticam.METHODS`, where the label is that of a variant. options: arguments of the method's class.
    images: how many of the first images; None for all. normalised: False feeds the network pixels in [0,1] as they are.
    """

    network: str
    method: str
    groups: tuple[str, ...] = ("seconds", "faithfulness")
    kind: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    images: int | None = None
    normalised: bool = True

    def build(self, classifier: Classifier) -> SaliencyMethod:
        """The method, ready to explain."""
        return (METHODS | BASELINES)[self.kind or self.method](classifier, **self.options)

    @property
    def stored_network(self) -> str:
        """The network's label in the store."""
        return self.network if self.normalised else labelled(self.network, RAW_PIXELS)

    @property
    def definition(self) -> tuple[object, ...]:
        """What the maps depend on beside the network and the images; a first revision is not named."""
        kind = self.kind or self.method
        method = (METHODS | BASELINES).get(kind)  # none where the network alone is measured
        later = [method.revision] if method and method.revision > 1 else []
        return kind, dict(self.options), *later

    def map_key(self, classifier: str, images: str, start: str) -> MapKey:
        """The key of the maps of the batch that begins with the image `start`.

        classifier: a `classifier_digest`. images: differs between sets of pictures with the same names.
        """
        facts = [classifier, images, repr(self.definition), start]
        return MapKey(self.stored_network, self.method, facts_digest(facts))


def by_network(requests: Iterable[Request]) -> dict[str, dict[str, list[Request]]]:
    """Requests by stored network and method label, so that all metrics of one map are computed together.

    Raises ValueError when one label is asked for with different definitions.
    """
    networks: dict[str, dict[str, list[Request]]] = {}
    for request in requests:
        known = networks.setdefault(request.stored_network, {}).setdefault(request.method, [])
        if known and known[0].definition != request.definition:
            raise ValueError(
                f"requests: {request.method!r} on {request.network} is asked for with different options: "
                f"{known[0].definition} and {request.definition}"
            )
        known.append(request)
    return networks
