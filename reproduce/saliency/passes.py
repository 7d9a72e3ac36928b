"""How many passes through a network a map takes, and each metric of it: what the cost of a run is counted in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from reproduce.saliency.course_groups import ITERATIONS, OTHER_CLASSES
from reproduce.saliency.metric_groups import RANDOMISED_BLOCKS
from reproduce.saliency.requests import Request


@dataclass(frozen=True)
class Passes:
    """Passes of one image: forward, and from the logits back to the pixels. Gradients that end at the target layer,
    behind which little of a network lies, are not counted."""

    forward: float = 0
    backward: float = 0

    def __add__(self, other: Passes) -> Passes:
        return Passes(self.forward + other.forward, self.backward + other.backward)

    def __mul__(self, times: float) -> Passes:
        return Passes(times * self.forward, times * self.backward)


def _steps(default: int) -> Callable[[int, Mapping[str, Any]], Passes]:
    def counted(channels: int, options: Mapping[str, Any]) -> Passes:
        steps = options.get("iterations", default)
        return Passes(steps, steps)

    return counted


OF_A_MAP: dict[str, Callable[[int, Mapping[str, Any]], Passes]] = {
    "Fake-CAM": lambda channels, options: Passes(),
    "Image centre": lambda channels, options: Passes(),
    "Score-CAM": lambda channels, options: Passes(1 + channels),
    # Its variants are made at the target layer, so many at once.
    "Ablation-CAM": lambda channels, options: Passes(3 + math.ceil(channels / options.get("max_batch", 128))),
    "Extremal Perturbation": lambda channels, options: Passes(-1, -1) + _steps(800)(channels, options),
    "Opti-CAM": lambda channels, options: Passes(1) + _steps(100)(channels, options),
    "LIME": lambda channels, options: Passes(options.get("samples", 1000)),
    "GradientSHAP": lambda channels, options: Passes(*2 * [options.get("samples", 20)]),
    "TIBAV": lambda channels, options: Passes(1, 1),
}
"""Of one map, from the target layer's number of channels and the method's options; one pass for all others."""

CURVES = {"causal": 2, "grey deletion": 1, "causal of prediction": 2}
"""Curves of a group of metrics, each of as many steps as a picture is wide. At most: "causal of prediction" takes none
where the prediction is right, which is not known beforehand."""
OF_A_METRIC: dict[str, tuple[int, Passes]] = {
    "faithfulness": (0, Passes(1)),
    OTHER_CLASSES: (3, Passes(3)),
    "causal of prediction": (1, Passes()),
    "box study": (0, Passes(4)),
    "box": (0, Passes(4)),
    "robustness": (12, Passes(14)),
    "selectivity": (0, Passes(10)),
    "early stop": (0, Passes(2)),
    "after iterations": (0, Passes(2 * len(ITERATIONS))),
    "other corners": (1, Passes(1)),
    "other features": (1, Passes(1)),
    "sanity": (RANDOMISED_BLOCKS, Passes()),
}
"""Of each group of metrics: how often it makes the map again, and its own passes, those of `CURVES` apart; nothing for
all others. The group of points on curves reads those of "causal", which every map with curves is asked for."""
SHARED = {("Score-CAM", OTHER_CLASSES)}
"""Methods and groups of metrics whose further maps come of the passes of the first."""


def of_map(request: Request, channels: int) -> Passes:
    """Passes of one map."""
    count = OF_A_MAP.get(request.kind or request.method)
    return Passes(1) if count is None else count(channels, request.options)


def of_images(request: Request, due: Mapping[str, int], channels: int, side: int) -> Passes:
    """Passes of a method's maps, each made once, and of the groups of metrics on so many of the images each."""
    passes = of_map(request, channels) * max(due.values(), default=0)
    for group, count in due.items():
        passes += of_group(request, group, channels, side) * count
    return passes


def of_group(request: Request, group: str, channels: int, side: int) -> Passes:
    """Passes of one group of metrics on one map of a picture `side` pixels wide, the map itself apart."""
    again, own = OF_A_METRIC.get(group, (0, Passes()))
    if (request.kind or request.method, group) in SHARED:
        again = 0
    curves = Passes(CURVES.get(group, 0) * (side + 1))
    return of_map(request, channels) * again + own + curves
