"""Command line: run experiments, show, judge, compare and check them; benchmarks; what runs are made from."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

import reproduce.workspace.interruption as interruption  # first, before anything slow is loaded
from opticam.cli.ending import while_loading
from reproduce.cli.benchmark import MODULES
from reproduce.cli.options import (
    add_check_option,
    add_comparison_option,
    add_count_option,
    add_experiment_option,
    add_force_option,
    add_input_options,
    add_publish_option,
    add_run_options,
    add_selection_options,
)


def main(arguments: list[str] | None = None) -> int:
    """Run a subcommand; what goes wrong ends in one line on stderr and the status of `opticam.cli.ending`."""
    # Loading takes seconds: options are read with torch, and what runs them loads the rest.
    with while_loading(interruption.say):
        options = _parse(arguments)
        function = _function(options.run)
    return interruption.to_end(options.command, lambda: function(options))


def _function(name: str) -> Callable[[argparse.Namespace], int]:
    """What runs a subcommand, "module.function"; loaded when it is asked for."""
    module, _, function = name.rpartition(".")
    return getattr(import_module(f"reproduce.cli.{module}"), function)


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    """The options; those that a benchmark is to read itself are kept in `rest`."""
    words = sys.argv[1:] if arguments is None else arguments
    parser = _parser(words)
    options, rest = parser.parse_known_args(words)
    if rest and options.command != "benchmark":
        parser.error(f"unrecognized arguments: {' '.join(rest)}")
    options.rest = rest
    return options


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """The parser; loads nothing slow, but for what a subcommand among `words` reads its choices from."""
    parser = argparse.ArgumentParser(prog="python -m reproduce", description=__doc__)
    subparsers = parser.add_subparsers(dest="command", required=True)
    for name, function, text in (
        ("list", "commands.list_experiments", "the experiments, and which of them the profile has"),
        ("run", "running.run", "compute what is missing, then write tables, figures and the report"),
        ("tables", "commands.tables", "write the tables from what is stored"),
        ("figures", "commands.figures", "draw the figures from what is stored"),
        ("report", "commands.report", "write the report from what is stored"),
        ("plan", "plan.run", "images, passes and hours of each experiment, from a minute's measurements"),
        ("claims", "commands.claims", "judge the papers' claims on what is stored, one line each"),
        ("compare", "compare.run", "this run's cells against the committed ones"),
        ("check", "commands.check", "what must hold everywhere, or recompute a row that needs no pictures"),
    ):
        subparser = subparsers.add_parser(name, help=text)
        subparser.set_defaults(run=function)
        if name == "run":
            add_run_options(subparser)
            add_force_option(subparser, "compute again what is stored")
        if name in ("tables", "figures", "report", "claims"):
            add_force_option(subparser, "write again what is up to date")
        if name == "check":
            add_check_option(subparser)
        if name == "compare":
            add_comparison_option(subparser)
        if name in ("run", "report"):
            add_publish_option(subparser)
        if name not in ("list", "report"):
            add_experiment_option(subparser)
        if name != "list":
            add_count_option(subparser)
        add_selection_options(subparser)
        add_input_options(subparser)
    subparser = subparsers.add_parser("select-parts", help="choose DP-Net's recipes anew by cross-validation")
    subparser.set_defaults(run="select_parts.run")
    add_force_option(subparser, "train again what is on record")
    add_selection_options(subparser)
    add_input_options(subparser)
    subparser = subparsers.add_parser(
        "prepare", help="labels and boxes of real pictures, checked and in our form"
    )
    subparser.set_defaults(run="prepare.run")
    if "prepare" in words:
        from reproduce.cli import prepare

        prepare.add_options(subparser)
    subparser = subparsers.add_parser("train-sample", help="train the sample networks anew and compare")
    subparser.set_defaults(run="train_sample.run")
    if "train-sample" in words:
        from reproduce.cli import train_sample

        train_sample.add_options(subparser)
    subparser = subparsers.add_parser(
        "benchmark",
        help="time kernels and loops against their peers",
        allow_abbrev=False,  # --compile is an option of a benchmark, not --compile-report
        add_help=not set(MODULES) & set(words),  # after a NAME it is that benchmark's own
    )
    subparser.set_defaults(run="commands.benchmark")
    subparser.add_argument(
        "names", nargs="*", choices=[*MODULES, []], metavar="NAME", help=", ".join(MODULES)
    )
    subparser.add_argument("--compile-report", action="store_true", help="what the GPU kernels compile to")
    return parser


if __name__ == "__main__":
    sys.exit(main())
