"""The subcommands of `python -m reproduce`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module

from reproduce.benchmarks.environment import commit, environment
from reproduce.claims.summary import claim_line, contradicted_first, headline
from reproduce.claims.writing import current_claims
from reproduce.cli import compare
from reproduce.cli.benchmark import MODULES, compile_reports, run_benchmark
from reproduce.cli.launching import compute_alone, launch
from reproduce.cli.opening import output_folder, select, workspace
from reproduce.cli.options import CHECKS, command_line, of_first
from reproduce.cli.publishing import check_one_origin, check_publishable, clear_published
from reproduce.experiments import EXPERIMENTS, Experiment
from reproduce.experiments.computing import Stages, compute, expected_seconds
from reproduce.experiments.outcome import Outcome, outcomes
from reproduce.experiments.outputs import Outputs
from reproduce.parts.entered_runs import enter_runs
from reproduce.report import HTML, Given, write_report
from reproduce.report.content import MEASURED
from reproduce.saliency.evaluation import EXPERIMENT as SALIENCY
from reproduce.saliency.evaluation import WITHOUT_BOXES
from reproduce.workspace.fingerprint import file_digest, inputs_digest
from reproduce.workspace.interruption import to_end
from reproduce.workspace.paths import PUBLISHABLE, PUBLISHED
from reproduce.workspace.processes import (
    check_no_other_group,
    inside_group,
    is_first,
    is_last,
    process_group,
    wait,
)
from reproduce.workspace.workspace import Workspace


def list_experiments(options: argparse.Namespace) -> int:
    """Print every experiment with the published table or figure it stands for."""
    given = workspace(options)
    for experiment in EXPERIMENTS.values():
        mark = " " if experiment.applies(given.profile) else "-"
        print(f"{mark} {experiment.name:28} {experiment.paper:9} {experiment.title}")
    print("\n- : not part of this profile")
    return 0


def run(options: argparse.Namespace) -> int:
    """Compute what is missing, then write tables, figures and claims, and of a whole profile the report."""
    launches = options.processes > 1 and not inside_group()
    if launches:
        compute_alone()
    asked = [of_first(options), options] if options.first else [options]
    if options.publish:
        for one in asked:
            check_publishable(one)
    runs = [(one, workspace(one)) for one in asked]
    for one, given in runs:
        chosen = select(one.only, given.profile)
        if is_first():  # before the group is joined: none of its own processes writes yet
            check_no_other_group(given)
        if launches:
            _check_before_launch(given, chosen)
    if launches:
        return launch(partial(to_end, options.command, partial(run, options)), options.processes)
    with process_group():
        return max(_run(*one, title="" if one[0] is options else options.first) for one in runs)


def _run(options: argparse.Namespace, given: Workspace, title: str) -> int:
    """One profile's run, by all processes of the group; title: what its stages are told of with."""
    chosen = select(options.only, given.profile)
    record = _start(given, options) if is_first() else ""
    stages = Stages(partial(given.store.add_stage, record), expected_seconds(given), title)
    _compute(given, chosen, options, stages)
    if is_first():
        given.store.end_run(record)
    wait()  # the store is at rest from here on
    outputs = _outputs(given, outcomes(given, chosen), options)
    with stages.stage("tables and figures"):
        if is_last() and not options.only:
            current_claims(given, outputs)  # where there are several processes, beside the tables
        _write(outputs, ("tables", "figures") if is_first() else ("figures",))
    if not is_first():
        return 0
    if options.only:
        print(f"the whole report: {command_line(options, 'report')}")
    else:
        with stages.stage("claims and report"):
            _report(given, outputs, options)
        _compare(given, outputs)
    if options.publish:
        _publish(given, outputs, options)
    return _report_skips(given, options)


def _compute(
    given: Workspace, chosen: Sequence[Experiment], options: argparse.Namespace, stages: Stages
) -> None:
    if not given.parts_input.runs:
        compute(given, chosen, options.force, stages)
    elif is_first():
        print(f"entered {enter_runs(given)} runs of dpnet train; nothing is trained")


def _check_before_launch(given: Workspace, chosen: Sequence[Experiment]) -> None:
    """Say here, once, what every process would complain of."""
    if given.device.type != "cpu":
        raise ValueError(
            "processes: several share the cores; on a GPU use 1, or torchrun with a GPU for each"
        )
    if any(experiment.paper == "Opti-CAM" for experiment in chosen):
        given.source  # noqa: B018 - raises where pictures or labels are wrong


def check(options: argparse.Namespace) -> int:
    """Judge every table and claim, or recompute one published row; the exit status is that of the check."""
    return import_module(CHECKS[options.what]).run(options)


def report(options: argparse.Namespace) -> int:
    """Write the report of all experiments, with whatever tables and figures it lacks."""
    if options.publish:
        check_publishable(options)
    given = workspace(options)
    outputs = _outputs(given, outcomes(given, select(None, given.profile)), options)
    _write(outputs, ("tables", "figures"))
    current_claims(given, outputs)
    _report(given, outputs, options)
    if options.publish:
        _publish(given, outputs, options)
    return 0


def benchmark(options: argparse.Namespace) -> int:
    """Run benchmarks one after the other; the first exit status that is not 0."""
    if not options.names and not options.compile_report:
        raise ValueError("NAME: say which benchmark to run, or --compile-report")
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
    _write(_outputs(given, outcomes(given, select(options.only, given.profile)), options), ("tables",))
    return 0


def claims(options: argparse.Namespace) -> int:
    """Print one line per claim, contradicted ones first, then the counts; a contradicted claim is a result."""
    given = workspace(options)
    outputs = _outputs(given, outcomes(given, select(options.only, given.profile)), options)
    judged = current_claims(given, outputs)
    for _, claim in contradicted_first(judged).iterrows():
        print(claim_line(claim))
    print("", *headline(judged, given.profile), sep="\n")
    return 0


def figures(options: argparse.Namespace) -> int:
    """Draw the figures from what is stored."""
    given = workspace(options)
    _write(_outputs(given, outcomes(given, select(options.only, given.profile)), options), ("figures",))
    return 0


def _outputs(given: Workspace, told: list[Outcome], options: argparse.Namespace) -> Outputs:
    """The output folder; with --force, what lies there counts as out of date."""
    return Outputs(told, output_folder(options, given), inputs_digest(given), anew=options.force)


def _publish(given: Workspace, outputs: Outputs, options: argparse.Namespace) -> None:
    """Write what the outputs tell once more, into the committed folder, in place of what is there."""
    origin, folder = check_one_origin(given.store.runs()), PUBLISHABLE[given.profile.name]
    clear_published(origin, folder)
    published = Outputs(outputs.told, folder, outputs.digest, anew=True)
    _write(published, ("tables", "figures"))
    if folder == PUBLISHED:  # the one report shows the others' figures and tables, too
        current_claims(given, published)
        _report(given, published, options)


def _compare(given: Workspace, outputs: Outputs) -> None:
    """Say how many cells are as in the last published run."""
    compared = compare.with_committed(given, outputs.told)
    if compared is not None:
        print(compare.summary(compared))


def _write(outputs: Outputs, kinds: tuple[str, ...]) -> None:
    """Write what is out of date; print each path."""
    written = 0
    for kind in kinds:
        for path in getattr(outputs, kind)():
            print(f"{kind[:-1]:7} {path}", flush=True)
            written += 1
    if not written:
        print(f"{' and '.join(kinds)} in {outputs.folder} are up to date; --force makes them anew")


def _report(given: Workspace, outputs: Outputs, options: argparse.Namespace) -> None:
    """Write the report unless it is up to date, of claims that are judged; say what to open and how to judge."""
    made = outputs.drawn
    content = Given(given, outputs.told, outputs.folder, made, outputs.commit, partial(command_line, options))
    read = [path for kind in MEASURED for path in sorted(content.measured(kind).glob("*"))]
    digest = file_digest([path for path in read if path.is_file()], outputs.digest)
    if not outputs.anew and made.current("all", "report", digest):
        print(f"report  {outputs.folder / HTML} is up to date")
    else:
        paths = write_report(content)
        made.record("all", "report", digest, outputs.commit, paths)
        print("\n".join(f"report  {path}" for path in paths))
    print("\n".join(headline(content.claims, given.profile)))
    print(f"every claim in a line: {command_line(options, 'claims')}")


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
