"""Command line of the experiments: list, run, tables, figures, check."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from reproduce import commands
from reproduce.checks import CHECKS
from reproduce.options import add_input_options, add_selection_options


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand; user errors end in one line on stderr and exit status 2."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (ValueError, TypeError, FileNotFoundError, NotADirectoryError) as error:
        print(f"reproduce {options.command}: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted; nothing stored is lost, the same command goes on from here", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reproduce", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True)
    for name, function, text in (
        ("list", commands.list_experiments, "the experiments and what is stored of them"),
        ("run", commands.run, "compute what is missing, then write tables and figures"),
        ("tables", commands.tables, "write the tables from what is stored"),
        ("figures", commands.figures, "draw the figures from what is stored"),
    ):
        subparser = subparsers.add_parser(name, help=text)
        subparser.set_defaults(run=function)
        add_selection_options(subparser)
        add_input_options(subparser)
    subparser = subparsers.add_parser("check", help="recompute published numbers that need no pictures")
    subparser.set_defaults(run=commands.check)
    subparser.add_argument("what", choices=CHECKS)
    subparser.add_argument("--boxes", type=Path, help="folder with localization.txt and image_sizes.txt")
    return parser


if __name__ == "__main__":
    sys.exit(main())
