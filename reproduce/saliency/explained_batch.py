"""A batch under one method on one network; what several metrics read is computed once, when first read."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch

from opticam import Classifier
from opticam.metrics import CausalCurve, deletion, faithfulness_scores, insertion, target_probability
from opticam.probability import of_targets
from opticam.saliency import OptiCAM, SaliencyMethod, ScoreCAM
from opticam.saliency.methods.opti_cam import Optimisation
from opticam.saliency.methods.score_cam import ChannelLogits
from reproduce.saliency.requests import Request
from reproduce.workspace.map_cache import MapCache, MapKey
from reproduce.workspace.sources import Batch
from reproduce.workspace.stopwatch import stopwatch


@dataclass(frozen=True, eq=False)
class View:
    """A batch as one network sees it: logits [B,C] of the plain images."""

    classifier: Classifier
    batch: Batch
    logits: torch.Tensor

    @cached_property
    def predicted(self) -> torch.Tensor:
        """Predicted class ids [B]."""
        return self.logits.argmax(1)

    @cached_property
    def correct(self) -> torch.Tensor:
        """Bool [B]: the predicted class is the true one."""
        return self.predicted == self.batch.labels

    @cached_property
    def probabilities(self) -> torch.Tensor:
        """Probabilities [B] of the true classes."""
        return of_targets(self.logits, self.batch.labels, self.classifier.probabilities)

    def first(self, names: Sequence[str]) -> View:
        """The view of the images among `names`."""
        rows = self.batch.rows(names)
        return (
            self
            if len(rows) == len(self.batch)
            else View(self.classifier, self.batch.part(rows), self.logits[rows])
        )


SCORES = ("AD", "AG", "AI")
"""What `Evaluated.masked_scores` tells."""


def named(names: Mapping[str, str], scores: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Scores under other names: each where `names` has it."""
    return {name: scores[score] for score, name in names.items()}


Course = Optimisation | ChannelLogits
"""How maps were made, from which more can be told without making them again."""


class Made(NamedTuple):
    """Maps [B,H,W], the seconds per image that they took, and how they were made, where that is kept."""

    maps: torch.Tensor
    seconds: float
    course: Course | None = None

    def part(self, rows: list[int]) -> Made:
        """Those of some of the images."""
        return Made(self.maps[rows], self.seconds, self.course.part(rows) if self.course else None)


@dataclass(frozen=True, eq=False)
class Evaluated:
    """What a metric may read: a view and the maps of one method.

    method: makes the method at first use. make: makes the maps.
    """

    view: View
    request: Request
    method: Callable[[], SaliencyMethod]
    make: Callable[[], Made]

    @property
    def classifier(self) -> Classifier:
        """The network."""
        return self.view.classifier

    @property
    def batch(self) -> Batch:
        """The images."""
        return self.view.batch

    @property
    def targets(self) -> torch.Tensor:
        """Class ids [B] that are explained: the true ones."""
        return self.batch.labels

    @property
    def maps(self) -> torch.Tensor:
        """Saliency maps [B,H,W] of the true classes."""
        return self._made.maps

    @property
    def seconds(self) -> float:
        """Seconds per image that making the maps took."""
        return self._made.seconds

    @cached_property
    def optimisation(self) -> Optimisation:
        """What Opti-CAM did for the maps; done anew where they are kept ones. Raises TypeError for other methods."""
        course = self._made.course
        if isinstance(course, Optimisation):
            return course
        method = self.method()
        if not isinstance(method, OptiCAM):
            raise TypeError(f"method: {type(method).__name__} does not optimise; expected Opti-CAM")
        return method.optimise(self.batch.images, self.targets)

    @cached_property
    def predicted_maps(self) -> torch.Tensor:
        """Saliency maps [B,H,W] of the predicted classes."""
        return self.maps_of(self.view.predicted)

    def maps_of(self, classes: torch.Tensor) -> torch.Tensor:
        """Saliency maps [B,H,W] of class ids [B]; made anew only where that is another class."""
        maps, other = self.maps.clone(), (classes != self.targets).nonzero()[:, 0]
        if len(other):
            method, images, course = self.method(), self.batch.images[other], self._made.course
            if isinstance(method, ScoreCAM) and isinstance(course, ChannelLogits):
                maps[other] = method.maps_of(course.part(other.tolist()), images, classes[other])
            else:
                with _constant_maps_allowed():
                    maps[other] = method(images, classes[other])
        return maps

    def masked_probabilities(self, maps: torch.Tensor) -> torch.Tensor:
        """Probabilities [B] of the true classes under some maps [B,H,W]."""
        batch = self.batch
        return target_probability(self.classifier, batch.images * maps[:, None], batch.labels)

    def masked_scores(self, maps: torch.Tensor) -> dict[str, torch.Tensor]:
        """AD, AG and AI of the true classes under some maps [B,H,W]."""
        return faithfulness_scores(self.view.probabilities, self.masked_probabilities(maps))

    @cached_property
    def insertion(self) -> CausalCurve:
        """Insertion of the predicted class, as many steps as an image has columns."""
        return self._causal(insertion)

    @cached_property
    def deletion(self) -> CausalCurve:
        """Deletion to black of the predicted class, as many steps as an image has columns."""
        return self._causal(deletion)

    @cached_property
    def grey_deletion(self) -> CausalCurve:
        """Deletion to the network's mean colour, which is what zeros in a normalised image mean."""
        return self._causal(deletion, substrate=self.classifier.mean.flatten().clamp(0, 1).tolist())

    def causal_of_prediction(self) -> dict[str, torch.Tensor]:
        """Insertion and deletion [B] of the predicted class on its own map, in percent."""
        areas, other = {}, (~self.view.correct).nonzero()[:, 0]
        for metric, curve in ((insertion, self.insertion), (deletion, self.deletion)):
            area = areas[metric.__name__] = curve.auc.clone()
            if len(other):
                area[other] = self._causal(metric, self.predicted_maps, other).auc
        return areas

    def _causal(
        self,
        metric: Callable[..., CausalCurve],
        maps: torch.Tensor | None = None,
        rows: torch.Tensor | slice = slice(None),
        **options: object,
    ) -> CausalCurve:
        """Curves of some rows; maps: [B,H,W], by default those of the request."""
        images, maps = self.batch.images[rows], (self.maps if maps is None else maps)[rows]
        steps = images.shape[-1]
        return metric(self.classifier, images, maps, self.view.predicted[rows], steps=steps, **options)

    @cached_property
    def _made(self) -> Made:
        return self.make()

    def first(self, names: Sequence[str]) -> Evaluated:
        """The same for the images among `names`; their maps are those of the whole batch."""
        rows = self.batch.rows(names)
        if len(rows) == len(self.batch):
            return self
        return Evaluated(self.view.first(names), self.request, self.method, lambda: self._made.part(rows))


def timed_maps(
    view: View,
    method: Callable[[], SaliencyMethod],
    cache: MapCache | None,
    key: MapKey | None,
    keeps_course: bool = False,
) -> Made:
    """Maps [B,H,W] and the seconds per image they took: from the cache, or made and put there.

    keeps_course: what Opti-CAM and Score-CAM can tell more is kept, too, where maps are made.
    """
    images = view.batch.images
    kept = cache.load(key, view.batch.names) if cache and key else None
    if kept:
        return Made(kept[0].to(images.device), kept[1])
    targets, explain = view.batch.labels, method()

    def make() -> tuple[torch.Tensor, Course | None]:
        if keeps_course and isinstance(explain, OptiCAM):
            optimised = explain.optimise(images, targets)
            return optimised.maps, optimised
        if keeps_course and isinstance(explain, ScoreCAM):
            logits = explain.channel_logits(images)
            return explain.maps_of(logits, images, targets), logits
        return explain(images, targets), None

    with _constant_maps_allowed():
        (maps, course), spent = stopwatch(make, images.device)
    seconds = spent.seconds / len(images)
    if cache and key:
        cache.save(key, view.batch.names, maps, seconds)
    return Made(maps, seconds, course)


@contextmanager
def _constant_maps_allowed() -> Iterator[None]:
    """A constant map is a result like others here."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "(target_layer|images): a map of .* is constant")
        yield
