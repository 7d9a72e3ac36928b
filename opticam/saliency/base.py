"""The one protocol of all saliency methods: method(images, targets) -> maps."""

from __future__ import annotations

import sys
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from opticam.classifier import Classifier
from opticam.layers import layer_name
from opticam.saliency.targets import ClassScore, GivenScore, Score, Targets, class_ids

PRECISIONS = (None, "float64")


class SaliencyMethod(ABC):
    """Maps images and target classes to saliency maps, batched; an image's map ignores its batch mates."""

    # A method of many steps takes precision="float64": it explains a float64 copy of the network, as it is when
    # the method is made. Rounding, which the steps amplify and which differs from machine to machine, then stays
    # below what a float32 map can tell.

    selector = "logit"
    """What of the logits stands for the target class; see `opticam.saliency.selectors`."""
    revision = 1
    """Raised with every change of what the maps are, so that nobody takes stored ones for the method's."""

    def __init__(self, classifier: Classifier, *, precision: str | None = None) -> None:
        if not isinstance(classifier, Classifier):
            raise TypeError(
                f"classifier: expected an opticam.Classifier, got {type(classifier).__name__}; "
                "wrap a network as Classifier(network)"
            )
        if precision not in PRECISIONS:
            raise ValueError(
                f"precision: expected one of {', '.join(map(str, PRECISIONS))}, got {precision!r}"
            )
        self.classifier = classifier.in_float64() if precision == "float64" else classifier
        self.layers: list[nn.Module | str] = []  # whose outputs the maps are made of

    @classmethod
    def applies_to(cls, classifier: Classifier) -> bool:
        """Whether the method is defined for this network and can run in this installation."""
        return True

    def __call__(self, images: torch.Tensor, targets: Targets = None) -> torch.Tensor:
        """Saliency maps [B,H,W], float32 in [0,1] (float64 for float64 images), of images [B,3,H,W] in [0,1].

        What is computed is at least of the network's precision: float32 images and a float64 network give maps
        that were made in float64. targets: None explains the predicted class; a class id, one id per image, or a
        function from logits [B,C] to scores [B]. Raises ValueError or TypeError, naming the argument, before any
        work starts; for a function whose scores are not [B], when it is first called.
        """
        with self.explaining(images, targets) as (prepared, score):
            if not len(prepared):
                return prepared.new_zeros(0, *prepared.shape[-2:], dtype=map_dtype(images))
            maps = self.compute(prepared, score).detach()
        low, high = maps.flatten(1).aminmax(dim=1)
        if (low == high).any():
            read = " and ".join(repr(layer_name(self.classifier.network, layer)) for layer in self.layers)
            argument, reason = "images", "no part of the image speaks"
            if read:
                argument, reason = "target_layer", f"{read} says nothing of where things are, or nothing"
            warnings.warn(
                f"{argument}: a map of {type(self).__name__} is constant; it may be that {reason} for this class",
                stacklevel=2,
            )
        return maps.to(map_dtype(images))

    @abstractmethod
    def compute(self, images: torch.Tensor, score: Score) -> torch.Tensor:
        """Maps [B,H,W] in [0,1] that explain `score`, a function from logits [B,C] to [B]."""

    @contextmanager
    def explaining(self, images: torch.Tensor, targets: Targets) -> Iterator[tuple[torch.Tensor, Score]]:
        """Check the arguments, freeze the network, and hand out images to compute with and the targets' score.

        The images are at least of the network's precision and float32.
        """
        check_images(images, self.classifier.pixel_range)
        # Whatever state the caller is in: methods differentiate where they need to.
        with torch.inference_mode(False), torch.enable_grad(), self.classifier.frozen():
            if images.is_inference():  # which autograd does not take
                images = images.clone()
            images = images.to(torch.promote_types(map_dtype(images), self.classifier.dtype))
            yield images, self._score(images, targets)

    @torch.no_grad()
    def _score(self, images: torch.Tensor, targets: Targets) -> Score:
        if callable(targets):
            return GivenScore(targets)
        options = self.selector, self.classifier.probabilities
        if not len(images):
            return ClassScore(torch.zeros(0, dtype=torch.long), *options)
        if targets is None:
            return ClassScore(self.classifier(images).argmax(1), *options)
        classes = self.classifier.num_classes or self.classifier(images[:1]).shape[1]
        ids = class_ids(targets, len(images), classes)
        return ClassScore(ids.to(images.device), *options)


def warn_of_rounding(summands: torch.Tensor, told: str) -> None:
    """Warn where the sum over the channels of an image's maps [B,K,h,w] is within its rounding of zero everywhere.

    told: what adds up, and what to do. For use in what `compute` calls itself.
    """
    sums = summands.sum(1).abs().flatten(1).amax(1)
    sizes = summands.abs().sum(1).flatten(1).amax(1)
    if (sums < summands.shape[1] ** 0.5 * torch.finfo(summands.dtype).eps * sizes).any():
        warnings.warn(f"target_layer: {told}", stacklevel=5)  # the caller of the method


def map_dtype(images: torch.Tensor) -> torch.dtype:
    """Of the maps of images: their own, and float32 at least."""
    return torch.promote_types(images.dtype, torch.float32)


def check_images(images: torch.Tensor, pixel_range: tuple[float, float] | None = (0.0, 1.0)) -> None:
    """Raise TypeError or ValueError unless images are a floating [B,C,H,W] tensor of finite pixels in range."""
    if not isinstance(images, torch.Tensor):
        raise TypeError(f"images: expected a tensor [B,3,H,W], got {type(images).__name__}")
    if images.dim() != 4 or not images.is_floating_point():
        raise ValueError(
            f"images: expected floating [B,3,H,W], got {images.dtype} of shape {tuple(images.shape)}"
        )
    if not images.numel():
        return
    low, high = (float(value) for value in images.detach().aminmax())
    least, most = pixel_range or (-sys.float_info.max, sys.float_info.max)
    if not (low >= least and high <= most):  # also catches NaN
        wanted = f"finite and in [{least:g}, {most:g}]" if pixel_range else "finite"
        raise ValueError(f"images: pixels must be {wanted}, got values from {low} to {high}")
