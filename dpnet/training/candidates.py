"""What cross-validation chooses from: ways to build and train Global and Parts, as many for the one as for the other.

The short lists have six each, the wide ones sixteen, the short ones among them. What no source states of the paper is
varied: regions, their normalisation, how many parts, where they start, and rates. The temperature is not: it acts on
the assignment entropy alone, which the unconstrained loss does not read.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

from dpnet.model.recipes import GlobalRecipe, PartRecipe
from dpnet.model.regions import RegionScheme
from dpnet.training.runs import Run
from dpnet.training.settings import TrainingSettings

RATES = ((3e-2, 0.0), (1e-1, 0.0), (1e-1, 1e-4))  # learning rate and weight decay of Global


def global_candidates(
    settings: TrainingSettings, wide: bool = False, recipe: GlobalRecipe | None = None
) -> list[Run]:
    """The baseline with and without centring, at two learning rates and with weight decay: six candidates.

    wide: with and without unit length, and at a third rate: sixteen. What is not varied is that of ``recipe``
    and ``settings``.
    """
    recipe = recipe or GlobalRecipe()
    norms, rates = (("l2", "none"), (*RATES, (3e-1, 1e-4))) if wide else ((recipe.x_norm,), RATES)
    return [
        Run(
            f"global {'centred' if centre else 'plain'}"
            + (" raw" if norm == "none" else "")
            + f" lr {rate:g}"
            + (f", decay {decay:g}" if decay else ""),
            replace(recipe, x_norm=norm, centre=centre),
            replace(settings, learning_rate_classifier=rate, weight_decay=decay),
        )
        for norm, centre, (rate, decay) in product(norms, (False, True), rates)
    ]


def part_candidates(
    settings: TrainingSettings, map_side: int, recipe: PartRecipe | None = None, wide: bool = False
) -> list[Run]:
    """Six part layers: regions from single cells to the whole map, from random or class regions, at two rates.

    "windows" are windows of about 0.4 of the map's side, "large windows" these, windows of about 0.7, and the
    whole map. The choice goes back to a study of frozen ImageNet networks on small photograph sets
    (figures/studies): what helped most was to start from random directions and to move the parts fast.
    wide: ten more that each change one thing of the windows from random directions at the lower rate: sixteen.
    What is not varied is that of ``recipe`` and ``settings``; V learns at 0.1.
    """
    recipe = recipe or PartRecipe()
    norm = recipe.scheme.x_norm
    sides = sorted({max(2, round(share * map_side)) for share in (0.4, 0.7, 1.0)})
    cells, window = RegionScheme(x_norm=norm), RegionScheme("pyramid", tuple(sides[:1]), norm)
    choices = [
        ("cells", cells, "random", 1e-2),
        ("cells", cells, "random", 3e-2),
        ("windows", window, "random", 1e-2),
        ("windows", window, "random", 3e-2),
        ("windows", window, "class_regions", 1e-2),
        ("large windows", RegionScheme("pyramid", tuple(sides), norm), "random", 1e-2),
    ]
    runs = [
        Run(
            f"parts {name}, {initialisation}, lr {rate:g}",
            replace(recipe, scheme=scheme, initialisation=initialisation),
            replace(settings, learning_rate_parts=rate, learning_rate_classifier=1e-1),
        )
        for name, scheme, initialisation, rate in choices
    ]
    return runs + (_variants(runs[2], sides) if wide else [])


def _variants(run: Run, sides: list[int]) -> list[Run]:
    """The run of parts with one thing changed at a time."""
    base = run.recipe
    assert isinstance(base, PartRecipe)
    recipes = {
        "kmeans": replace(base, initialisation="kmeans"),
        "discriminative": replace(base, initialisation="discriminative"),
        "raw": replace(base, scheme=replace(base.scheme, x_norm="none")),
        "plain": replace(base, centre=False),
        "half the parts": replace(base, parts_per_class=max(1, base.parts_per_class // 2)),
        "twice the parts": replace(base, parts_per_class=2 * base.parts_per_class),
        "own classes first": replace(base, classifier_initialisation="own_minus_half"),
        "cells and all windows": replace(base, scheme=replace(base.scheme, sizes=(1, *sides))),
    }
    settings = {
        "decay 0.0001": replace(run.settings, weight_decay=1e-4),
        "V lr 0.03": replace(run.settings, learning_rate_classifier=3e-2),
    }
    return [Run(f"{run.name}: {name}", recipe, run.settings) for name, recipe in recipes.items()] + [
        Run(f"{run.name}: {name}", base, changed) for name, changed in settings.items()
    ]
