"""What the options of `python -m dpnet` stand for: data, backbone, and what is trained."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from dpnet.cli.options import CONSTRAINT_NAMES, SELECTED
from dpnet.data.sources import BackboneSource, DataSource
from dpnet.model.recipes import GlobalRecipe, PartRecipe
from dpnet.model.regions import RegionScheme
from dpnet.training.runs import Run, check_seeds
from dpnet.training.settings import ConstraintWeights, TrainingSettings
from opticam.cli.options import pixel_options


def data_source(options: argparse.Namespace) -> DataSource:
    """The data set of the options."""
    return DataSource(options.data, options.layout, options.size, options.resize, options.drop_shared)


def backbone_source(options: argparse.Namespace) -> BackboneSource:
    """The frozen network of the options."""
    weights = None if options.weights is None else str(options.weights)
    return BackboneSource(options.backbone, weights or "default", options.layer, **pixel_options(options))


def runs(options: argparse.Namespace) -> list[Run]:
    """Global, unless left out, and Parts; ValueError for values that do not fit."""
    given = _given(
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate_classifier=options.lr_classifier,
        weight_decay=options.weight_decay,
        label_smoothing=options.label_smoothing,
        precision=options.precision,
    )
    settings = TrainingSettings(**given)
    if options.select is not None:
        _check_selection(options)
    check_seeds(options.seeds)
    of_parts: dict[str, Any] = {
        "constraints": constraint_weights(options.constraints)
    }  # which Global does not read
    of_parts |= _given(learning_rate_parts=options.lr_parts)
    parts = Run("parts", part_recipe(options), replace(settings, **of_parts))
    if options.no_baseline:
        return [parts]
    recipe = GlobalRecipe(**_given(x_norm=options.x_norm, centre=options.centre))
    return [Run("global", recipe, settings), parts]


def _check_selection(options: argparse.Namespace) -> None:
    """Raise ValueError for too few folds, and for an option whose value the selection would replace."""
    if options.select < 2:
        raise ValueError(f"select is {options.select}; cross-validation needs at least 2 folds")
    for method in ["parts"] if options.no_baseline else ["global", "parts"]:
        for name in SELECTED[method]:
            if getattr(options, name) is not None:
                option = name.replace("_", "-")
                raise ValueError(
                    f"{option}: --select chooses it for the {method} models; give one of the two"
                )


def part_recipe(options: argparse.Namespace) -> PartRecipe:
    """The part layer of the options."""
    given = _given(
        parts_per_class=options.parts_per_class,
        scheme=RegionScheme(**_given(name=options.regions, sizes=options.sizes, x_norm=options.x_norm)),
        temperature=options.temperature,
        centre=options.centre,
        initialisation=options.initialisation,
        classifier_initialisation=options.classifier_initialisation,
    )
    return PartRecipe(**given)


def constraint_weights(text: str) -> ConstraintWeights:
    """Weights of "NAME,NAME" or "NAME=WEIGHT,..."; ValueError for an unknown name or a weight that is none."""
    weights: dict[str, Any] = {}
    for item in filter(None, text.split(",")):
        name, _, weight = item.partition("=")
        if name not in CONSTRAINT_NAMES:
            raise ValueError(f"constraints: {name!r} is unknown; accepted: {', '.join(CONSTRAINT_NAMES)}")
        field = CONSTRAINT_NAMES[name]
        try:
            weights[field] = float(weight) if weight else getattr(ConstraintWeights.named(field), field)
        except ValueError:
            raise ValueError(f"constraints: the weight {weight!r} of {name} is no number") from None
    return ConstraintWeights(**weights)


def _given(**values: Any) -> dict[str, Any]:
    """The fields whose options were given; the others keep their defaults."""
    return {name: value for name, value in values.items() if value is not None}
