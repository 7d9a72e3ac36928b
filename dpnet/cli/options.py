"""The options of `python -m dpnet`; loads nothing slow, for --help.

Where an option is left out its value is None, and the default is that of the object it stands for, which the help
repeats.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dpnet.data.layouts import LAYOUTS
from opticam.cli.options import (
    add_device_option,
    add_memory_options,
    add_pixel_options,
    add_resize_option,
    positive,
)

# The names that these modules accept, which load PyTorch: dpnet.model.regions and .initialisation,
# dpnet.training.settings, dpnet.data.manifest.
SCHEMES = ("cells", "squares", "pyramid")
NORMS = ("none", "l2")
PART_METHODS = ("random", "class_regions", "kmeans", "discriminative")
CLASSIFIER_METHODS = ("default", "own_minus_half", "own_zero")
PRECISIONS = ("float32", "bfloat16", "float64")
FEATURE_DTYPES = ("float32", "bfloat16")

CONSTRAINT_NAMES = {
    "orthogonal": "orthogonality",
    "assignment": "assignment",
    "class-specific": "class_specificity",
    "balance": "balance",
}
SELECTED = {
    "global": ("centre", "lr_classifier", "weight_decay"),
    "parts": ("regions", "sizes", "initialisation", "lr_parts", "lr_classifier"),
}
"""The options whose values --select decides, of each method: those that `dpnet.training.candidates` varies or fixes."""


def add_options(name: str, command: argparse.ArgumentParser) -> None:
    """The options of the subcommand called `name`."""
    if name == "train":
        _add_train(command)
    elif name != "info":
        _add_reading(name, command)


def _add_train(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--data", required=True, help="folder, or sample:many, sample:scenes, sample:fine")
    add(
        "--layout",
        choices=("auto", *LAYOUTS),
        default="auto",
        help="how the folder is arranged; default: auto, what it looks like",
    )
    add(
        "--size",
        type=positive,
        default=224,
        help="side of the network's input in pixels; default: %(default)s",
    )
    add_resize_option(parser, "squash")
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
    add(
        "--output",
        type=Path,
        default=Path("results/dpnet"),
        help="folder for models and results.csv; default: %(default)s",
    )
    add_memory_options(parser)
    _add_skips(parser)
    _add_common(parser)


def _add_reading(name: str, command: argparse.ArgumentParser) -> None:
    """Options of what reads a trained model."""
    command.add_argument("--model", type=Path, required=True, help="folder of one trained model")
    command.add_argument(
        "--backbone", "--network", help="the package.module:function of yours that the model was trained on"
    )
    _add_common(command)
    if name != "explain":
        command.add_argument("--data", help="where the pictures are now; default: where they were")
        _add_skips(command)
    if name != "evaluate":
        command.add_argument("-o", "--output", type=Path, required=True, help="figure, without suffix")
    if name == "explain":
        command.add_argument(
            "photo", type=Path, help="a file, or sample:NAME for a photograph of an installed package"
        )
        command.add_argument("--class", dest="class_", metavar="NAME|ID|predicted", help="default: predicted")
        command.add_argument("--parts", type=positive, default=5, help="how many parts to show")
    if name == "gallery":
        command.add_argument("--class", dest="class_", metavar="NAME|ID", help="default: of all classes")
        command.add_argument("--parts", type=positive, default=10, help="how many parts to show")
        command.add_argument("--pictures", type=positive, default=8, help="pictures of each part")


def _add_part_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--parts-per-class", type=int, help="parts of a class, 1 or more; default: 10")
    add(
        "--regions",
        choices=SCHEMES,
        help="where a part may lie: in a cell of the feature map, in squares of cells of every size, or in squares of "
        "--sizes (pyramid); default: cells",
    )
    add("--sizes", type=_integers, help="sides of a pyramid's squares in cells, for example 1,3,5")
    add(
        "--x-norm",
        choices=NORMS,
        help="regions, and Global's average, at unit length (l2) or as they are (none); default: l2",
    )
    add("--centre", action=argparse.BooleanOptionalAction, help="subtract the mean cell (default) or not")
    add(
        "--temperature",
        type=float,
        help="of the softmax in the assignment entropy, in units of similarity, above 0; default: 0.1",
    )
    add(
        "--initialisation",
        choices=PART_METHODS,
        help="where parts start: in random directions, random regions of their class, centres of clusters of these "
        "(kmeans), or directions that tell the class from others; default: class_regions",
    )
    add(
        "--classifier-initialisation",
        choices=CLASSIFIER_METHODS,
        help="where V starts: as any linear layer of PyTorch (default), or at 1 for a class's own parts and -0.5 or 0 "
        "for others",
    )
    names = ", ".join(CONSTRAINT_NAMES)
    add("--constraints", default="", help=f"NAME or NAME=WEIGHT, comma-separated: {names}; default: none")


def _add_training_options(group: argparse._ArgumentGroup) -> None:
    add = group.add_argument
    add("--epochs", type=int, help="passes over the training pictures, 1 or more; default: 60")
    add("--batch-size", type=int, help="pictures in a step, 1 or more; default: 64")
    add(
        "--lr-parts",
        type=float,
        help="Adam's learning rate of the parts in the first step, 0 or more; decays to 0 as a cosine; default: 0.001",
    )
    add("--lr-classifier", type=float, help="the same of V, and of Global's linear layer; default: 0.001")
    add(
        "--weight-decay",
        type=float,
        help="share of each parameter that Adam adds to its gradient, 0 or more; default: 0",
    )
    add(
        "--label-smoothing",
        type=float,
        help="share of a label that is spread over all classes, 0 to 1; default: 0",
    )
    add("--seeds", type=_integers, default="0", help="comma-separated, one run each; default: %(default)s")
    add(
        "--precision",
        choices=PRECISIONS,
        help="dtype of features and part layer in training; default: float32",
    )
    add(
        "--feature-dtype",
        choices=FEATURE_DTYPES,
        default="bfloat16",
        help="dtype of the feature cache; default: %(default)s",
    )
    add(
        "--select",
        type=int,
        metavar="FOLDS",
        help="choose by cross-validation on the training pictures: regions, initialisation and learning rates of "
        "Parts; centring, learning rate and weight decay of Global; all else is as given",
    )
    add("--no-baseline", action="store_true", help="train Parts only")


def _add_skips(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--allow-skips", action="store_true", help="exit 0 although images could not be read")


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path("cache"),
        help="folder for sample pictures and frozen features; default: %(default)s",
    )
    add_device_option(parser)


def _integers(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected integers separated by commas, got {text!r}") from None
