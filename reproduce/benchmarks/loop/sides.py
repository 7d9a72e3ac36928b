"""What the benchmark of the loop measures: our levels, plain loops, other packages and the network alone."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from opticam import Classifier, GradCAM, OptiCAM, ScoreCAM
from opticam.saliency.optimisation.ascent import Ascent
from opticam.saliency.optimisation.objectives import OBJECTIVES
from opticam.saliency.targets import ClassScore
from reproduce.benchmarks.loop import rivals

LEVELS = {"cpu": ("exact", "fast", "half"), "cuda": ("exact", "half")}
"""Levels that differ on a type of device."""
Side = tuple[str, Callable[[], Tensor | None]]


@dataclass(frozen=True)
class Setting:
    """What every side gets: network, images [B,3,224,224], class ids [B], iterations."""

    network: nn.Module
    images: Tensor
    ids: Tensor
    iterations: int

    @property
    def levels(self) -> tuple[str, ...]:
        """Our levels on the images' device."""
        return LEVELS[self.images.device.type]

    def classifier(self, level: str) -> Classifier:
        """A classifier of the network at one level, ready to be timed."""
        classifier = Classifier(self.network, optimize=level)
        classifier.features(self.images)
        return classifier

    def model(self) -> rivals.NormalisedNetwork:
        """The network with its pixel normalisation in front, for the other sides."""
        exact = Classifier(self.network)
        return rivals.NormalisedNetwork(self.network, exact.mean, exact.std)


def opti_cam_sides(setting: Setting) -> Iterator[Side]:
    """Sides of the part "opti-cam": a name, and a call that gives maps or None."""
    layer = Classifier(setting.network).target_layer
    arguments = setting.model(), layer, setting.images, setting.ids, setting.iterations
    yield "reference loop", lambda: rivals.reference_loop(*arguments).maps
    yield "repaired loop", lambda: rivals.repaired_loop(*arguments).maps
    for level in setting.levels:
        classifier = setting.classifier(level)
        for graph in (False, True) if setting.images.is_cuda else (False,):
            method = OptiCAM(classifier, iterations=setting.iterations, cuda_graph=graph)
            name = f"ours {level}" + (", captured" if graph else "")
            yield name, partial(method, setting.images, setting.ids)
        yield f"network alone {level}", partial(_network_alone, classifier, setting)


def grad_cam_sides(setting: Setting) -> Iterator[Side]:
    """Sides of the part "grad-cam"."""
    for level in setting.levels:
        classifier = setting.classifier(level)
        method = GradCAM(classifier)
        yield f"forward {level}", partial(_forward, classifier, setting.images)
        yield f"ours {level}", partial(method, setting.images, setting.ids)
    yield from _packages("GradCAM", setting, Classifier(setting.network).target_layer)


def score_cam_sides(setting: Setting) -> Iterator[Side]:
    """Sides of the part "score-cam"."""
    for level in setting.levels:
        method = ScoreCAM(setting.classifier(level))
        yield f"ours {level}", partial(method, setting.images, setting.ids)
    yield from _packages("ScoreCAM", setting, Classifier(setting.network).target_layer)


def first_step(setting: Setting, level: str) -> dict[str, float]:
    """Differences of map and gradient between our first step and the reference's."""
    classifier, score = setting.classifier(level), ClassScore(setting.ids)
    expected = rivals.reference_loop(
        setting.model(), classifier.target_layer, setting.images, setting.ids, iterations=1
    )
    options: dict[str, Any] = {"learning_rate": 0.1, "normalization": "range", "stop_change": None}
    features, objective = classifier.features(setting.images), OBJECTIVES["Mask"]
    with classifier.frozen():
        ascent = Ascent(classifier, features, setting.images, score, objective=objective, **options)
        first_map = ascent.maps(ascent.logits_u)
        ascent.step()
    # Adam's first moment after one step is a tenth of the gradient, which it descends.
    gradient = -10 * ascent.optimizer.moments[0] - expected.first_gradient
    return {
        "map_difference": float((first_map - expected.first_map).abs().max()),
        "gradient_difference": float(gradient.abs().max() / expected.first_gradient.abs().max()),
    }


def _network_alone(classifier: Classifier, setting: Setting) -> None:
    """The network's share of a run: as many forward and backward passes on the images themselves."""
    with classifier.frozen(), torch.enable_grad():
        for _ in range(setting.iterations):
            pixels = setting.images.clone().requires_grad_()
            score = classifier(pixels).gather(1, setting.ids[:, None]).sum()
            torch.autograd.grad(score, pixels)


def _forward(classifier: Classifier, images: Tensor) -> None:
    with torch.no_grad():
        classifier(images)


def _packages(name: str, setting: Setting, layer: nn.Module) -> Iterator[Side]:
    for package, build in (("grad-cam", rivals.grad_cam_package), ("torch-cam", rivals.torch_cam_package)):
        with contextlib.suppress(ImportError):
            maps = build(name, setting.model(), layer)
            yield package, partial(maps, setting.images, setting.ids)
