"""The options of `python -m dpnet`, and the objects they stand for."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from dpnet.data.layouts import LAYOUTS
from dpnet.data.sources import BackboneSource, DataSource
from dpnet.model.initialisation import CLASSIFIER_METHODS, PART_METHODS
from dpnet.model.recipes import GlobalRecipe, PartRecipe
from dpnet.model.regions import NORMS, SCHEMES, RegionScheme
from dpnet.training.runs import Run
from dpnet.training.settings import PRECISIONS, ConstraintWeights, TrainingSettings
from opticam.cli.options import add_device_option, add_memory_options, add_pixel_options, pixel_options
from opticam.data.photo import RESIZES

CONSTRAINT_NAMES = {
    "orthogonal": "orthogonality",
    "assignment": "assignment",
    "class-specific": "class_specificity",
    "balance": "balance",
}


def add_options(name: str, command: argparse.ArgumentParser) -> None:
    """The options of the subcommand called `name`."""
    if name == "train":
        _add_train(command)
    elif name != "info":
        _add_reading(name, command)


def data_source(options: argparse.Namespace) -> DataSource:
    """The data set of the options."""
    return DataSource(options.data, options.layout, options.size, options.resize, options.drop_shared)


def backbone_source(options: argparse.Namespace) -> BackboneSource:
    """The frozen network of the options."""
    weights = None if options.weights is None else str(options.weights)
    return BackboneSource(options.backbone, weights or "default", options.layer, **pixel_options(options))


def runs(options: argparse.Namespace) -> list[Run]:
    """Global, unless left out, and Parts; ValueError for values that do not fit."""
    settings = TrainingSettings(
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate_parts=options.lr_parts,
        learning_rate_classifier=options.lr_classifier,
        weight_decay=options.weight_decay,
        label_smoothing=options.label_smoothing,
        precision=options.precision,
    )
    parts = Run(
        "parts", part_recipe(options), settings.with_constraints(constraint_weights(options.constraints))
    )
    if options.no_baseline:
        return [parts]
    return [Run("global", GlobalRecipe(options.x_norm, options.centre), settings), parts]


def part_recipe(options: argparse.Namespace) -> PartRecipe:
    """The part layer of the options."""
    return PartRecipe(
        parts_per_class=options.parts_per_class,
        scheme=RegionScheme(options.regions, options.sizes, options.x_norm),
        temperature=options.temperature,
        centre=options.centre,
        initialisation=options.initialisation,
        classifier_initialisation=options.classifier_initialisation,
    )


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


def _add_train(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", required=True, help="folder, or sample:many, sample:scenes, sample:fine")
    add("--layout", choices=("auto", *LAYOUTS), default="auto")
    add("--size", type=int, default=224, help="side of the network's input in pixels")
    add("--resize", choices=RESIZES, default="squash")
    add("--drop-shared", action="store_true", help="train without the pictures that are also test pictures")
    add(
        "--backbone",
        "--network",
        required=True,
        help="torchvision or timm name, package.module:function, or sample_resnet, sample_vgg, sample_vit",
    )
    add("--weights", type=Path, help="state dictionary, head not needed; default: the library's download")
    add("--layer", help="layer whose output is the feature map; default: the papers' layer of the family")
    add_pixel_options(parser)
    _add_part_options(parser.add_argument_group("part layer"))
    _add_training_options(parser.add_argument_group("training"))
    add("--output", type=Path, default=Path("results/dpnet"), help="folder for models and results.csv")
    add_memory_options(parser)
    _add_common(parser)


def _add_reading(name: str, command: argparse.ArgumentParser) -> None:
    """Options of what reads a trained model."""
    command.add_argument("--model", type=Path, required=True, help="folder of one trained model")
    command.add_argument(
        "--backbone", "--network", help="the package.module:function of yours that the model was trained on"
    )
    _add_common(command)
    if name != "evaluate":
        command.add_argument("-o", "--output", type=Path, required=True, help="figure, without suffix")
        command.add_argument("--class", dest="class_", metavar="NAME|ID|predicted")
    if name == "explain":
        command.add_argument("photo", type=Path)
        command.add_argument("--parts", type=int, default=5, help="how many parts to show")
    if name == "gallery":
        command.add_argument("--parts", type=int, default=10, help="how many parts to show")
        command.add_argument("--pictures", type=int, default=8, help="pictures of each part")


def _add_part_options(group: argparse._ArgumentGroup) -> None:
    default = PartRecipe()
    add = group.add_argument
    add("--parts-per-class", type=int, default=default.parts_per_class)
    add("--regions", choices=SCHEMES, default=default.scheme.name)
    add("--sizes", type=_integers, default=(), help="window sizes of a pyramid, for example 1,3,5")
    add("--x-norm", choices=NORMS, default=default.scheme.x_norm)
    add("--centre", action=argparse.BooleanOptionalAction, default=True, help="subtract the mean cell")
    add("--temperature", type=float, default=default.temperature, help="of the assignment entropy")
    add("--initialisation", choices=PART_METHODS, default=default.initialisation)
    add("--classifier-initialisation", choices=CLASSIFIER_METHODS, default=default.classifier_initialisation)
    names = ", ".join(CONSTRAINT_NAMES)
    add("--constraints", default="", help=f"NAME or NAME=WEIGHT, comma-separated: {names}")


def _add_training_options(group: argparse._ArgumentGroup) -> None:
    default = TrainingSettings()
    add = group.add_argument
    add("--epochs", type=int, default=default.epochs)
    add("--batch-size", type=int, default=default.batch_size)
    add("--lr-parts", type=float, default=default.learning_rate_parts)
    add("--lr-classifier", type=float, default=default.learning_rate_classifier)
    add("--weight-decay", type=float, default=default.weight_decay)
    add("--label-smoothing", type=float, default=default.label_smoothing)
    add("--seeds", type=_integers, default=(0,), help="comma-separated, one run each")
    add("--precision", choices=PRECISIONS, default=default.precision)
    add("--feature-dtype", choices=PRECISIONS, default="bfloat16", help="of the feature cache")
    add(
        "--select",
        type=int,
        default=0,
        metavar="FOLDS",
        help="choose regions, centring and learning rates by cross-validation on the training pictures",
    )
    add("--no-baseline", action="store_true", help="train Parts only")


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cache", type=Path, default=Path("cache"), help="folder for frozen features")
    add_device_option(parser)


def _integers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected integers separated by commas, got {text!r}") from None
