"""The subcommands of `python -m reproduce` that read what is stored, and write or print what it says."""

from __future__ import annotations

import argparse
from importlib import import_module

from reproduce.claims.summary import claim_line, contradicted_first, headline
from reproduce.claims.writing import current_claims
from reproduce.cli.benchmark import MODULES, compile_reports, run_benchmark
from reproduce.cli.opening import select, workspace
from reproduce.cli.options import CHECKS
from reproduce.cli.publishing import check_publishable
from reproduce.cli.telling import outputs_of, publish, tell, write
from reproduce.experiments import EXPERIMENTS
from reproduce.experiments.outcome import outcomes


def list_experiments(options: argparse.Namespace) -> int:
    """Print every experiment with the published table or figure it stands for."""
    given = workspace(options)
    for experiment in EXPERIMENTS.values():
        mark = " " if experiment.applies(given.profile) else "-"
        print(f"{mark} {experiment.name:28} {experiment.paper:9} {experiment.title}")
    print("\n- : not part of this profile")
    return 0


def check(options: argparse.Namespace) -> int:
    """Judge every table and claim, or recompute one published row; the exit status is that of the check."""
    return import_module(CHECKS[options.what]).run(options)


def report(options: argparse.Namespace) -> int:
    """Write the report of all experiments, with whatever tables and figures it lacks."""
    given = workspace(options)
    if options.publish:
        check_publishable(options, given)
    outputs = outputs_of(given, outcomes(given, select(None, given.profile)), options)
    write([outputs], ("tables", "figures"))
    current_claims(given, outputs)
    tell(given, outputs, options)
    if options.publish:
        publish(given, outputs, options)
    return 0


def benchmark(options: argparse.Namespace) -> int:
    """Run benchmarks one after the other; the first exit status that is not 0."""
    if not options.names and not options.compile_report:
        raise ValueError(f"NAME: say which benchmark to run ({', '.join(MODULES)}), or --compile-report")
    unknown = set(options.names) - set(MODULES)
    if unknown:
        raise ValueError(f"NAME: no benchmark {sorted(unknown)}; accepted: {', '.join(MODULES)}")
    statuses = [run_benchmark(name, options.rest) for name in options.names]
    if options.compile_report:
        statuses.append(compile_reports())
    return next((status for status in statuses if status), 0)


def tables(options: argparse.Namespace) -> int:
    """Write the tables from what is stored."""
    given = workspace(options)
    write([outputs_of(given, outcomes(given, select(options.only, given.profile)), options)], ("tables",))
    return 0


def claims(options: argparse.Namespace) -> int:
    """Print one line per claim, contradicted ones first, then the counts; a contradicted claim is a result."""
    given = workspace(options)
    outputs = outputs_of(given, outcomes(given, select(options.only, given.profile)), options)
    judged = current_claims(given, outputs)
    for _, claim in contradicted_first(judged).iterrows():
        print(claim_line(claim))
    print("", *headline(judged, given), sep="\n")
    return 0


def figures(options: argparse.Namespace) -> int:
    """Draw the figures from what is stored."""
    given = workspace(options)
    write([outputs_of(given, outcomes(given, select(options.only, given.profile)), options)], ("figures",))
    return 0
