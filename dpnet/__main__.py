"""Command line: train, evaluate, explain, gallery and info."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from opticam.cli.ending import interrupted, raise_on_sigterm, run_to_end, while_loading

COMMANDS = {
    "train": "train Global and Parts on frozen features",
    "evaluate": "accuracy and interpretability of a trained model on its test pictures",
    "explain": "which parts of a photo speak for a class, where, and how much",
    "gallery": "the training pictures in which parts respond most",
    "info": "which backends of part similarity can run here, and why not the others",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand; what goes wrong ends in one line on stderr and the status of `opticam.cli.ending`."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = build_parser(arguments).parse_args(arguments)
    raise_on_sigterm()
    command = f"dpnet {options.command}"

    def work() -> int | None:
        with while_loading(interrupted(command)):
            from dpnet.cli import commands  # here: what they load takes seconds, which --help need not spend

        status: int | None = getattr(commands, options.command)(options)
        return status

    return run_to_end(command, work)


def build_parser(words: Sequence[str] = tuple(COMMANDS)) -> argparse.ArgumentParser:
    """The parser; only the subcommands among `words` get their options."""
    parser = argparse.ArgumentParser(
        prog="python -m dpnet", description="Learn parts on a frozen network and explain by them."
    )
    subparsers = parser.add_subparsers(dest="command", required=True)
    for name, text in COMMANDS.items():
        subparser = subparsers.add_parser(name, help=text)
        if name in words:
            from dpnet.cli.options import add_options

            add_options(name, subparser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
