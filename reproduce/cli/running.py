"""`python -m reproduce run`: one profile, or two one after the other, in one process or several."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import cached_property, partial

from reproduce.claims.writing import current_claims
from reproduce.cli import compare
from reproduce.cli.launching import compute_alone, launch
from reproduce.cli.opening import select, workspace
from reproduce.cli.options import command_line, of_first
from reproduce.cli.publishing import check_publishable
from reproduce.cli.telling import outputs_of, publish, tell, write
from reproduce.experiments import Experiment
from reproduce.experiments.computing import Computation, Stages, compute, expected_seconds
from reproduce.experiments.outcome import outcomes
from reproduce.experiments.outputs import Outputs
from reproduce.parts.entered_runs import enter_runs
from reproduce.saliency.stored import WITHOUT_BOXES, skipped
from reproduce.workspace.environment import commit, environment
from reproduce.workspace.interruption import to_end
from reproduce.workspace.processes import (
    check_no_other_group,
    inside_group,
    is_first,
    is_last,
    process_group,
    wait,
)
from reproduce.workspace.workspace import Workspace


def run(options: argparse.Namespace) -> int:
    """Compute what is missing, then write tables, figures and claims, and of a whole profile the report."""
    launches = options.processes > 1 and not inside_group()
    if launches:
        compute_alone()
    turns = [Turn(of_first(options), options.first)] if options.first else []
    turns.append(Turn(options))
    for turn in turns:
        turn.check(launches)
    if launches:
        return launch(partial(to_end, options.command, partial(run, options)), options.processes)
    with process_group():
        run_all(turns)
    return max(turn.finish() for turn in turns) if is_first() else 0


def run_all(turns: Sequence[Turn]) -> None:
    """Each profile's work, then what all of them tell, by all processes of the group."""
    compute(*(turn.computation for turn in turns if not turn.given.parts_input.runs))
    for turn in turns if is_first() else ():
        turn.end()
    wait()  # the stores are at rest from here on
    with turns[-1].stages.stage("tables and figures"):
        for turn in turns if is_last() else ():  # where there are several processes, beside the tables
            turn.judge()
        write([turn.outputs for turn in turns], ("tables", "figures") if is_first() else ("figures",))
    for turn in turns:
        turn.report()


class Turn:
    """One profile's run, by all processes of the group; title: what its stages are told of with."""

    def __init__(self, options: argparse.Namespace, title: str = "") -> None:
        self.options, self.title = options, title
        self.given = workspace(options)
        if options.publish:
            check_publishable(options, self.given)
        self.chosen = select(options.only, self.given.profile)

    def check(self, launches: bool) -> None:
        """Say here, once, what every process would complain of."""
        if is_first():  # before the group is joined: none of its own processes writes yet
            check_no_other_group(self.given)
        if launches:
            _check_before_launch(self.given, self.chosen)

    @cached_property
    def stages(self) -> Stages:
        """Told of in the record of this run."""
        record = partial(self.given.store.add_stage, self._record)
        return Stages(record, expected_seconds(self.given), self.title)

    @cached_property
    def outputs(self) -> Outputs:
        """The output folder."""
        return outputs_of(self.given, outcomes(self.given, self.chosen), self.options)

    @property
    def computation(self) -> Computation:
        """What is missing, to be computed."""
        return Computation(self.given, self.chosen, self.options.force, self.stages)

    def end(self) -> None:
        """Enter runs of part models that are there in place of computed ones, and write down when all was there."""
        if self.given.parts_input.runs:
            print(f"entered {enter_runs(self.given)} runs of dpnet train; nothing is trained")
        self.given.store.end_run(self._record)

    def judge(self) -> None:
        """The claims of a whole profile."""
        if not self.options.only:
            current_claims(self.given, self.outputs)

    def report(self) -> None:
        """The report of a whole profile."""
        if self.options.only:
            if is_first():
                print(f"the whole report: {command_line(self.options, 'report')}")
            return
        with self.stages.stage("claims and report"):
            tell(self.given, self.outputs, self.options)

    def finish(self) -> int:
        """Compare with the published run, and publish where that is asked for, in one process; the exit status."""
        compared = None if self.options.only else compare.with_committed(self.given, self.outputs.told)
        if compared is not None:
            print(compare.summary(compared))
        if self.options.publish:
            publish(self.given, self.outputs, self.options)
        return _report_skips(self.given, self.options)

    @cached_property
    def _record(self) -> str:
        """The key of this run in the store, which the first process writes down when it begins."""
        return _start(self.given, self.options) if is_first() else ""


def _check_before_launch(given: Workspace, chosen: Sequence[Experiment]) -> None:
    if given.device.type != "cpu":
        raise ValueError(
            "processes: several share the cores; on a GPU use 1, or torchrun with a GPU for each"
        )
    if any(experiment.paper == "Opti-CAM" for experiment in chosen):
        given.source  # noqa: B018 - raises where pictures or labels are wrong


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
    found = [skipped(given), given.store.skips(given.profile.name, WITHOUT_BOXES)]
    for skips, what in zip(found, ("were skipped", "have no object boxes and no localisation")):
        if len(skips):
            example = f"{skips.image[0]}: {skips.reason[0]}"
            print(f"{skips.image.nunique()} images {what}, for example {example}", file=sys.stderr)
    return 1 if any(map(len, found)) and not options.allow_skips else 0
