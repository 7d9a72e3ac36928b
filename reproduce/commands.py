"""The subcommands of `python -m reproduce`."""

from __future__ import annotations

import argparse
import sys

from opticam import METHODS
from reproduce.benchmarks.environment import commit, environment
from reproduce.checks import CHECKS
from reproduce.computing import compute, is_first
from reproduce.evaluation import EXPERIMENT as SALIENCY
from reproduce.evaluation import WITHOUT_BOXES
from reproduce.experiments import EXPERIMENTS, Experiment
from reproduce.options import output_folder, workspace
from reproduce.outputs import write_claims, write_figures, write_tables
from reproduce.profile import Profile
from reproduce.workspace import Workspace


def list_experiments(options: argparse.Namespace) -> int:
    """Print every experiment with the published table or figure it stands for."""
    given = workspace(options)
    for experiment in EXPERIMENTS.values():
        mark = " " if experiment.applies(given.profile) else "-"
        print(f"{mark} {experiment.name:28} {experiment.paper:9} {experiment.title}")
    print("\n- : not part of this profile")
    return 0


def run(options: argparse.Namespace) -> int:
    """Compute what is missing, then write tables, figures and claims."""
    given = workspace(options)
    chosen = select(options.only, given.profile)
    record = _start(given, options) if is_first() else ""
    if not compute(given, chosen, options.force):
        return 0
    given.store.end_run(record)
    _write(given, chosen, options, ("tables", "figures"))
    return _report_skips(given, options)


def check(options: argparse.Namespace) -> int:
    """Recompute what published numbers follow from, without pictures; exit status 1 where they do not."""
    return CHECKS[options.what](options)


def tables(options: argparse.Namespace) -> int:
    """Write the tables and claims from what is stored."""
    given = workspace(options)
    _write(given, select(options.only, given.profile), options, ("tables",))
    return 0


def figures(options: argparse.Namespace) -> int:
    """Draw the figures from what is stored."""
    given = workspace(options)
    _write(given, select(options.only, given.profile), options, ("figures",))
    return 0


def select(only: list[str] | None, profile: Profile) -> list[Experiment]:
    """The experiments named, or all that the profile has. Raises ValueError for an unknown name."""
    unknown = set(only or ()) - set(EXPERIMENTS)
    if unknown:
        raise ValueError(f"only: no experiment {sorted(unknown)}; accepted: {', '.join(EXPERIMENTS)}")
    counted = set(profile.saliency.counts) if profile.saliency else set()
    uncounted = {part for name in counted for part in name.split("/")} - set(EXPERIMENTS) - set(METHODS)
    if uncounted:
        raise ValueError(f"count: no experiment or method {sorted(uncounted)}; accepted: their names")
    chosen = [EXPERIMENTS[name] for name in only or EXPERIMENTS]
    outside = [experiment.name for experiment in chosen if not experiment.applies(profile)]
    if only and outside:
        raise ValueError(f"only: the profile {profile.name!r} has no {', '.join(outside)}")
    return [experiment for experiment in chosen if experiment.applies(profile)]


def _write(
    given: Workspace, chosen: list[Experiment], options: argparse.Namespace, kinds: tuple[str, ...]
) -> None:
    folder = output_folder(options, given)
    if "tables" in kinds:
        for path in write_tables(given, chosen, folder):
            print(f"table   {path}")
        for claim in write_claims(given, chosen, folder):
            verdict = {True: "holds", False: "DOES NOT HOLD", None: "not tested"}[claim.holds]
            print(f"claim   {verdict}: {claim.text} ({claim.evidence})")
    if "figures" in kinds:
        for path in write_figures(given, chosen, folder):
            print(f"figure  {path}")


def _start(given: Workspace, options: argparse.Namespace) -> str:
    arguments = {name: str(value) for name, value in vars(options).items() if name != "run" and value}
    return given.store.start_run(
        commit=commit(),
        versions={k: v for k, v in environment(given.device).items() if k in ("python", "torch", "triton")},
        device=environment(given.device)["device"],
        seed=0,
        arguments=arguments,
    )


def _report_skips(given: Workspace, options: argparse.Namespace) -> int:
    found = [given.store.skips(given.profile.name, kind) for kind in (SALIENCY, WITHOUT_BOXES)]
    for skips, what in zip(found, ("were skipped", "have no object boxes and no localisation")):
        if len(skips):
            example = f"{skips.image[0]}: {skips.reason[0]}"
            print(f"{len(skips)} images {what}, for example {example}", file=sys.stderr)
    return 1 if any(map(len, found)) and not options.allow_skips else 0
