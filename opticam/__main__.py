"""Command line: explain one photograph, or say what this installation can do."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from opticam.cli.ending import interrupted, raise_on_sigterm, run_to_end, while_loading
from opticam.cli.options import (
    add_device_option,
    add_optimize_option,
    add_pixel_options,
    add_resize_option,
    positive,
)

PROBABILITIES = ("softmax", "sigmoid")  # those of `opticam.probability`, which takes a second to load


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand; what goes wrong ends in one line on stderr and the status of `opticam.cli.ending`."""
    options = build_parser().parse_args(arguments)
    raise_on_sigterm()
    command = f"opticam {options.command}"

    def work() -> None:
        with while_loading(interrupted(command)):
            # Here: what they load takes seconds, which --help need not spend.
            from opticam.cli import commands

        getattr(commands, options.command)(options)

    return run_to_end(command, work)


def build_parser() -> argparse.ArgumentParser:
    """The parser of both subcommands."""
    parser = argparse.ArgumentParser(prog="python -m opticam", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    add = commands.add_parser("explain", help="explain one photograph")
    add.add_argument(
        "photo", type=Path, help="a file, or sample:NAME for a photograph of an installed package"
    )
    add.add_argument(
        "--network",
        required=True,
        help="torchvision or timm name, for example resnet50; efficientnet_lite0; or package.module:function",
    )
    add.add_argument(
        "--weights", default="default", help="state dictionary; without it the library downloads its own"
    )
    add.add_argument(
        "--class",
        dest="class_",
        default="predicted",
        metavar="NAME|ID|predicted",
        help="class to explain, by its name in --class-names or its number; default: predicted",
    )
    add.add_argument(
        "--method",
        default="Opti-CAM",
        type=_method,
        help="Opti-CAM (default), Grad-CAM, ...; another name lists all",
    )
    add.add_argument("-o", "--output", type=Path, required=True, help="picture to write: .png, .pdf, ...")
    add.add_argument(
        "--layer", help="target layer, for example layer4.2; default: the papers' layer of the family"
    )
    add.add_argument("--num-classes", type=positive, help="outputs of the network, if not 1000")
    add.add_argument("--class-names", type=Path, help="text file, one class name a line")
    add.add_argument(
        "--probability", choices=PROBABILITIES, default="softmax", help="of the network's logits"
    )
    add_optimize_option(add)
    add_pixel_options(add)
    add_resize_option(add, "crop")
    add.add_argument(
        "--size", type=positive, help="side of the network's input in pixels; default: the library's"
    )
    add.add_argument("--iterations", type=int, help="optimisation steps of Opti-CAM (default 100)")
    add_device_option(add)
    commands.add_parser("info", help="versions and masking backends")
    return parser


def _method(text: str) -> str:
    from opticam import METHODS  # here: they take seconds to load

    for name in METHODS:
        if name.lower() == text.lower():
            return name
    raise argparse.ArgumentTypeError(f"unknown method {text!r}; accepted: {', '.join(METHODS)}")


if __name__ == "__main__":
    sys.exit(main())
