"""Build a model ready for training: its shape, its centre and its starting point, from one seed."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from dpnet.data.blocks import Features
from dpnet.model.initialisation import fit_centre, initialise_classifier, initialise_parts
from dpnet.model.part_layer import GlobalClassifier, PartClassifier, check_sizes
from dpnet.model.regions import RegionScheme
from dpnet.similarity.inputs import check_temperature


@dataclass(frozen=True)
class PartRecipe:
    """What a `PartClassifier` looks like before the first step; fields as in the functions it calls.

    Raises ValueError for no parts, and for a temperature that `part_similarity` does not take.
    """

    parts_per_class: int = 10
    scheme: RegionScheme = field(default_factory=RegionScheme)
    temperature: float = 0.1
    centre: bool = True
    initialisation: str = "class_regions"
    classifier_initialisation: str = "default"

    def __post_init__(self) -> None:
        check_sizes(parts_per_class=self.parts_per_class)
        check_temperature(self.temperature)

    def build(self, features: Features, labels: Tensor, num_classes: int, seed: int = 0) -> PartClassifier:
        """A new model for feature maps [N,d,h,w], the same for the same seed."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = PartClassifier(
                features.shape[1],
                num_classes,
                self.parts_per_class,
                scheme=self.scheme,
                temperature=self.temperature,
            )
            initialise_classifier(model, self.classifier_initialisation)
        if self.centre:
            fit_centre(model, features)
        initialise_parts(model, self.initialisation, features, labels, seed=seed)
        return model


@dataclass(frozen=True)
class GlobalRecipe:
    """What a `GlobalClassifier` looks like before the first step."""

    x_norm: str = "l2"
    centre: bool = True

    def build(self, features: Features, labels: Tensor, num_classes: int, seed: int = 0) -> GlobalClassifier:
        """A new model for feature maps [N,d,h,w], the same for the same seed."""
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            model = GlobalClassifier(features.shape[1], num_classes, x_norm=self.x_norm)
        if self.centre:
            fit_centre(model, features)
        return model
