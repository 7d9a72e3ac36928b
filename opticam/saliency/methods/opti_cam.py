"""Opti-CAM: the map whose masked image keeps the class score, found by optimisation for each image."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from opticam.classifier import Classifier
from opticam.layers import layer_name
from opticam.masking import saliency_mask
from opticam.masking.reference import NORMALIZATIONS
from opticam.saliency.base import SaliencyMethod, map_dtype, warn_of_rounding
from opticam.saliency.optimisation.ascent import Ascent
from opticam.saliency.optimisation.captured_ascent import CapturedAscent
from opticam.saliency.optimisation.objectives import OBJECTIVES
from opticam.saliency.selectors import SELECTORS
from opticam.saliency.targets import ClassScore, Score, Targets

PATIENCE = 10
"""Iterations between looks at whether all images have stopped; a look makes a GPU wait."""

STARTS_FROM_ROUNDING = (
    "its channels add up to zero but for rounding, and so the map that Opti-CAM starts from is rounding; take "
    "relu_features=True or another layer"
)


@dataclass(frozen=True)
class Optimisation:
    """What Opti-CAM found. maps [B,H,W]; logits_u [B,K], the u of the maps.

    objectives [T+1,B] and course [T+1,B,K]: F and u before each of the T iterations and after the last. steps [B]:
    updates of each image's u, T unless it stopped early.
    """

    maps: torch.Tensor
    logits_u: torch.Tensor
    objectives: torch.Tensor
    course: torch.Tensor
    steps: torch.Tensor

    def part(self, rows: Sequence[int] | slice) -> Optimisation:
        """That of some of its images; no other changed them."""
        own = self.maps[rows], self.logits_u[rows]
        return Optimisation(*own, self.objectives[:, rows], self.course[:, rows], self.steps[rows])


class OptiCAM(SaliencyMethod):
    """Softmax weights of the feature maps, optimised so that the masked image scores high (Opti-CAM, section 3).

    S = sum_k softmax(u)_k A^k (eq. 8); the map is n(up(S)); u maximises g(f(x * n(up(S)))) (eq. 10, "Mask")
    by Adam from u = 0, which is the mean of the channels. The loss is a sum over images and Adam works
    element by element, so batching changes no image's map but for rounding, which alone moves it: the steps enlarge
    it, most of all for a network before training. precision="float64" computes the steps in float64.

    Warns where that mean is nothing but rounding, as behind a layer norm with weights of 1 and biases of 0 (a
    transformer before training): the map at u = 0 is then rounding enlarged, and so may be what follows.

    iterations: Adam steps; the papers use 100 (50 in some tables). learning_rate: 0.1 in the paper.
    objective: "Mask", "Diff", "IOMask" or "IODiff" (Table A.12). selector: g, "logit", "margin" (the logit
        minus the largest other), "log-probability" or "probability", as `Classifier(probability=...)` has it; a
        callable target brings its own.
    normalization: n, "range" (eq. 4), "max" or "sigmoid" (Table 6).
    relu_features: clip the feature maps at zero first, as the authors' code does; the paper does not.
    layers: several layers, names or modules, in place of the target layer; their maps are resized to the
        largest grid and share one softmax.
    stop_change: an image stops when its objective changes by less than this between iterations (1e-10 in
        App. A); None runs all iterations. Other than in the authors' code, no image stops another.
    precision: "float64" to compute on a float64 copy of the network, so that machines agree; None for its own.
    cuda_graph: on a GPU, record the iteration once and replay it for this and smaller batches; the graph
        keeps the memory of one iteration. Callable targets run without. Where it cannot be recorded, as where the
        network reads a number back from the GPU, a warning says why, and from then on the method runs without.
    """

    def __init__(
        self,
        classifier: Classifier,
        *,
        iterations: int = 100,
        learning_rate: float = 0.1,
        objective: str = "Mask",
        selector: str = "logit",
        normalization: str = "range",
        relu_features: bool = False,
        layers: Sequence[nn.Module | str] | None = None,
        stop_change: float | None = None,
        cuda_graph: bool = True,
        precision: str | None = None,
    ) -> None:
        super().__init__(classifier, precision=precision)
        if iterations < 0:
            raise ValueError(f"iterations: must be 0 or more, got {iterations}")
        if learning_rate <= 0:
            raise ValueError(f"learning_rate: must be positive, got {learning_rate}")
        _check_choice("objective", objective, OBJECTIVES)
        _check_choice("selector", selector, SELECTORS)
        _check_choice("normalization", normalization, NORMALIZATIONS)
        self.iterations = iterations
        self.learning_rate = learning_rate
        self.objective = objective
        self.selector = selector
        self.normalization = normalization
        self.relu_features = relu_features
        named = [] if layers is None else [layer_name(classifier.network, layer) for layer in layers]
        self.layers = [*named] or [self.classifier.target_layer]
        self.stop_change = stop_change
        self.cuda_graph = cuda_graph
        self._captured: CapturedAscent | None = None

    def compute(self, images: torch.Tensor, score: Score) -> torch.Tensor:
        """Maps [B,H,W] of the last iterate."""
        ascent = self._ascent(images, score)
        for _ in self._climb(ascent):
            pass
        return ascent.maps(ascent.logits_u)[: len(images)]

    def optimise(self, images: torch.Tensor, targets: Targets = None) -> Optimisation:
        """The maps with the course of the objective; arguments and errors as in calling the method."""
        objectives, course = [], []
        with self.explaining(images, targets) as (prepared, score):
            ascent = self._ascent(prepared, score)
            course.append(ascent.logits_u.clone())
            for _ in self._climb(ascent):
                objectives.append(ascent.values.clone())
                course.append(ascent.logits_u.clone())
            ascent.finish()
        objectives.append(ascent.values)
        maps = ascent.maps(ascent.logits_u).to(map_dtype(images))
        values, path = torch.stack(objectives), torch.stack(course)
        found = Optimisation(maps, ascent.logits_u.clone(), values, path, ascent.steps.clone())
        return found.part(slice(len(images)))  # a captured batch may be padded

    def maps_at(self, images: torch.Tensor, logits_u: torch.Tensor) -> torch.Tensor:
        """The maps n(up(S)) [B,H,W] of u [B,K], such as one of `Optimisation.course`; of the dtype of a call's."""
        with self.explaining(images, 0) as (prepared, _), torch.no_grad():
            _, maps = saliency_mask(self._features(prepared), logits_u, prepared, self.normalization)
            return maps.to(map_dtype(images))

    def _climb(self, ascent: Ascent) -> Iterator[None]:
        """Run the iterations; gives way after each."""
        for iteration in range(self.iterations):
            ascent.step()
            yield
            if self.stop_change is not None and iteration % PATIENCE == 0 and not ascent.running.any():
                break

    def _ascent(self, images: torch.Tensor, score: Score) -> Ascent:
        features = self._features(images)
        warn_of_rounding(features, STARTS_FROM_ROUNDING)
        options: dict[str, Any] = {
            "objective": OBJECTIVES[self.objective],
            "learning_rate": self.learning_rate,
            "normalization": self.normalization,
            "stop_change": self.stop_change,
        }
        if self.cuda_graph and images.is_cuda and isinstance(score, ClassScore):
            if self._captured is None or not self._captured.fits(features, images, score, **options):
                self._captured = None  # its memory is free before more is taken
                try:
                    self._captured = CapturedAscent(self.classifier, features, images, score, **options)
                except Exception as error:  # a foreign network can refuse to be recorded in any way
                    self.cuda_graph = False
                    _warn_of_recording(error)
            if self._captured is not None:
                self._captured.restart(features, images, score.ids)
                return self._captured
        return Ascent(self.classifier, features, images, score, **options)

    def _features(self, images: torch.Tensor) -> torch.Tensor:
        """The feature maps [B,K,h,w] that u weighs."""
        by_layer, _ = self.classifier.features_of(images, self.layers)
        size = max((tuple(maps.shape[2:]) for maps in by_layer), key=lambda size: size[0] * size[1])
        resized = [
            F.interpolate(maps, size, mode="bilinear") if maps.shape[2:] != size else maps
            for maps in by_layer
        ]
        features = torch.cat(resized, 1) if len(resized) > 1 else resized[0]
        # As every iteration reads them, channel by channel.
        return (features.relu() if self.relu_features else features).contiguous()


def _warn_of_recording(error: Exception) -> None:
    warnings.warn(
        f"cuda_graph: the iteration cannot be recorded and runs step by step ({type(error).__name__}: {error})",
        RuntimeWarning,
        stacklevel=5,  # the caller of the method
    )


def _check_choice(name: str, value: str, choices: Collection[str]) -> None:
    if value not in choices:
        raise ValueError(f"{name}: expected one of {', '.join(choices)}, got {value!r}")
