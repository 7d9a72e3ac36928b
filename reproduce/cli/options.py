"""Command-line options shared by the subcommands."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from opticam.cli.options import (
    add_device_option,
    add_memory_options,
    add_optimize_option,
    add_pixel_options,
    at_least,
    positive,
)
from opticam.data.imagenet_transforms import TRANSFORMS
from reproduce.workspace.profile import profile_names

UNREPEATED = ("quiet", "map_cache", "workers", "memory")
"""Options that a command printed for the reader does not repeat: they change no number of another experiment."""

CHECK_ALL = "everything"
CHECKS = {CHECK_ALL: "reproduce.cli.check_everything", "fake-cam-boxes": "reproduce.saliency.fake_cam_boxes"}
"""By name: the module whose `run` prints what it finds and returns 0 where the published numbers are met."""


def add_experiment_option(parser: argparse.ArgumentParser) -> None:
    """Which experiments, for what does not need all of them."""
    parser.add_argument(
        "--only", action="append", metavar="NAME", help="only this experiment; may be repeated"
    )


def add_count_option(parser: argparse.ArgumentParser) -> None:
    """How many images, for what computes or reads numbers of them."""
    parser.add_argument(
        "--count",
        action="append",
        type=_count,
        metavar="NAME=N",
        help="only N images for an experiment or a method (opticam-causal=50, Score-CAM=100), none of them with 0; "
        "may be repeated",
    )


def add_selection_options(parser: argparse.ArgumentParser) -> None:
    """Which profile, at which size, and where results go."""
    parser.add_argument("--profile", default="sample", help=f"one of {', '.join(profile_names())}")
    parser.add_argument(
        "--limit", type=positive, help="a first look: at most so many images, and one seed a model"
    )
    parser.add_argument("--results", type=Path, help="folder of the store; default results/PROFILE")
    parser.add_argument(
        "--output", type=Path, help="folder for tables and figures; default that of --results"
    )
    add_device_option(parser)
    add_optimize_option(parser)
    parser.set_defaults(optimize=None)  # the profile's
    parser.set_defaults(only=None, count=[])  # where there is no such option
    parser.add_argument(
        "--batch-size", type=positive, metavar="N", help="images at once; default the profile's"
    )
    parser.add_argument("--map-cache", type=Path, metavar="DIR", help="keep every saliency map there, too")
    parser.add_argument("--quiet", action="store_true", help="no progress bars")


def add_force_option(parser: argparse.ArgumentParser, text: str) -> None:
    """Whether what is there counts as missing."""
    parser.add_argument("--force", action="store_true", help=text)


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """How many processes share the work, what they do first, and what the exit status says of skipped images."""
    parser.add_argument(
        "--processes",
        type=positive,
        default=1,
        metavar="N",
        help="share the work among N processes on the CPU (default 1)",
    )
    parser.add_argument(
        "--first",
        metavar="PROFILE",
        help="another profile that the same processes run before, the whole of it",
    )
    parser.add_argument("--allow-skips", action="store_true", help="exit 0 although images could not be read")


def add_publish_option(parser: argparse.ArgumentParser) -> None:
    """Whether what was measured becomes the committed figures/."""
    parser.add_argument(
        "--publish",
        action="store_true",
        help="write figures/ too; only of the whole sample profile, in a checkout without changes",
    )


def add_check_option(parser: argparse.ArgumentParser) -> None:
    """What to check."""
    parser.add_argument(
        "what",
        nargs="?",
        choices=CHECKS,
        default=CHECK_ALL,
        help="what must hold on every machine (%(default)s, the default), or a row of a table to recompute",
    )


def add_comparison_option(parser: argparse.ArgumentParser) -> None:
    """What to compare with."""
    parser.add_argument(
        "folder",
        nargs="?",
        type=Path,
        help="tables of the other run; default figures/tables, for the sample profile",
    )


def add_input_options(parser: argparse.ArgumentParser) -> None:
    """Pictures and network of a profile that has none built in."""
    group = parser.add_argument_group("real input")
    group.add_argument("--images", type=Path, help="folder of pictures")
    group.add_argument("--labels", type=Path, help="CSV file of file names and class ids")
    group.add_argument("--boxes", type=Path, help="object boxes, in a format that ImageNet's come in")
    group.add_argument(
        "--resize",
        choices=TRANSFORMS,
        default=TRANSFORMS[0],
        help="cut the middle out of a picture, or take the whole, its sides made equal; default: %(default)s",
    )
    group.add_argument(
        "--network",
        help="torchvision or timm name, or package.module:function, instead of the profile's networks",
    )
    group.add_argument(
        "--beside", metavar="NETWORK", help="published network that --network stands beside; default resnet50"
    )
    group.add_argument("--weights", help="state dictionary of --network; default: the library's own download")
    add_pixel_options(group)
    _add_parts_options(parser.add_argument_group("DP-Net on real pictures"))


def _add_parts_options(group: argparse._ArgumentGroup) -> None:
    """Data sets and backbones of DP-Net; each option may be repeated."""
    for name, metavar, text in (
        ("data", "NAME=DIR", "folder of a data set of the profile: train/CLASS, test/CLASS or an official layout"),
        ("runs", "NAME=DIR", "what `dpnet train` wrote for a data set; its runs are entered, nothing is trained"),
        ("backbone", "NAME[=FILE]", "network in place of the profile's; FILE: its weights, head not needed"),
        ("layer", "NAME=LAYER", "layer of a backbone in place of the profile's; of several the best is chosen"),
    ):  # fmt: skip
        group.add_argument(
            f"--parts-{name}", action="append", type=_named, default=[], metavar=metavar, help=text
        )
    group.add_argument(
        "--parts-size",
        type=positive,
        metavar="N",
        help="side of the pictures in place of the profile's 224 pixels",
    )
    add_memory_options(group)


def of_first(options: argparse.Namespace) -> argparse.Namespace:
    """The options of the run that comes first: those of its profile, and how these say that it is to run."""
    parser = argparse.ArgumentParser(add_help=False)
    for add in (add_run_options, add_publish_option, add_selection_options, add_input_options):
        add(parser)
    first = parser.parse_args(["--profile", options.first])
    for name in ("command", "processes", "device", "force", "publish", "quiet"):
        setattr(first, name, getattr(options, name))
    return first


def command_line(options: argparse.Namespace, *words: str) -> str:
    """The line for the shell that runs `words` on the same profile, input and store as these options."""
    parser = argparse.ArgumentParser(add_help=False)
    for add in (add_selection_options, add_count_option, add_input_options):
        add(parser)
    line = ["python", "-m", "reproduce", *words]
    for action in parser._actions:
        value = getattr(options, action.dest, action.default)
        if action.dest in UNREPEATED or value == _default(action):
            continue
        line += _repeated(action, value)
    return shlex.join(line)


def _default(action: argparse.Action) -> object:
    """What an option is where it is not given: a text passes through its type, as argparse does it."""
    return (
        action.type(action.default)
        if callable(action.type) and isinstance(action.default, str)
        else action.default
    )


def _repeated(action: argparse.Action, value: Any) -> list[str]:
    """An option with its value as it was given."""
    name = action.option_strings[-1]
    if isinstance(value, list):
        return [text for pair in value for text in (name, "=".join(str(word) for word in pair if word != ""))]
    return [name, ",".join(map(str, value)) if isinstance(value, tuple) else str(value)]


def _named(text: str) -> tuple[str, str]:
    name, _, value = text.partition("=")
    return name, value


def _count(text: str) -> tuple[str, int]:
    name, _, number = text.partition("=")
    if not name or not number:
        raise argparse.ArgumentTypeError(f"expected NAME=N, got {text!r}")
    return name, at_least(0, number)
