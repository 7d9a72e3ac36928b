"""Write, show and publish what experiments tell: tables, figures, claims and the report."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

from reproduce.claims.summary import headline
from reproduce.claims.writing import current_claims
from reproduce.cli.opening import output_folder
from reproduce.cli.options import command_line
from reproduce.cli.publishing import check_one_origin, clear_published
from reproduce.experiments.outcome import Outcome
from reproduce.experiments.outputs import Outputs, draw
from reproduce.report import HTML, Given, report_digest, write_report
from reproduce.workspace.fingerprint import inputs_digest
from reproduce.workspace.paths import PUBLISHABLE, PUBLISHED
from reproduce.workspace.processes import is_first, several
from reproduce.workspace.workspace import Workspace


def outputs_of(given: Workspace, told: list[Outcome], options: argparse.Namespace) -> Outputs:
    """The output folder; with --force, what lies there counts as out of date."""
    return Outputs(told, output_folder(options, given), inputs_digest(given), anew=options.force)


def write(folders: Sequence[Outputs], kinds: tuple[str, ...]) -> None:
    """Write what is out of date; print each path, or why there is none."""
    tables = (path for outputs in folders for path in outputs.tables())
    paths = {"tables": tables, "figures": draw(folders)}
    written = 0
    for kind in kinds:
        for path in paths[kind]:
            print(f"{kind[:-1]:7} {path}", flush=True)
            written += 1
    if written:
        return
    where = " and ".join(str(outputs.folder) for outputs in folders)
    if any(outputs.recorded(kind) for outputs in folders for kind in kinds):
        print(f"{' and '.join(kinds)} in {where} are up to date; --force makes them anew")
    else:
        print(f"nothing to draw in {where}: nothing is stored of what has {' or '.join(kinds)}")


def tell(given: Workspace, outputs: Outputs, options: argparse.Namespace) -> None:
    """Write the report unless it is up to date, of claims that are judged; say what to open and how to judge.

    Of several processes all are to call it; the first one writes and speaks.
    """
    made = outputs.drawn
    content = Given(given, outputs.told, outputs.folder, made, outputs.commit, partial(command_line, options))
    digest = report_digest(content, outputs.digest)
    # Several processes only run, and a report tells of each run; so all of them know without asking that it is due.
    is_current = not outputs.anew and not several() and made.current("all", "report", digest)
    paths = [] if is_current else write_report(content)
    if not is_first():
        return
    if is_current:
        print(f"report  {outputs.folder / HTML} is up to date")
    else:
        made.record("all", "report", digest, outputs.commit, paths)
        print("\n".join(f"report  {path}" for path in paths))
    print("\n".join(headline(content.claims, given)))
    print(f"every claim in a line: {command_line(options, 'claims')}")


def publish(given: Workspace, outputs: Outputs, options: argparse.Namespace) -> None:
    """Write what the outputs tell once more, into the committed folder, in place of what is there."""
    origin, folder = check_one_origin(given.store.runs()), PUBLISHABLE[given.profile.name]
    clear_published(origin, folder)
    published = Outputs(outputs.told, folder, outputs.digest, anew=True)
    write([published], ("tables", "figures"))
    if folder == PUBLISHED:  # the one report shows the others' figures and tables, too
        current_claims(given, published)
        tell(given, published, options)
