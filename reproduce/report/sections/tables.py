"""The section of published tables, each beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from reproduce.claims.numbers import REASONS
from reproduce.experiments.outcome import Outcome
from reproduce.published.numbers import published, tables
from reproduce.report.cell_grid import anchor, cell_grid, judged
from reproduce.report.content import Given
from reproduce.report.document import Banner, Block, Cell, Command, Grid, Heading, Items, Legend, Paragraph
from reproduce.report.downloads import as_files
from reproduce.report.sections.making import how_made
from reproduce.tables.cells import count_verdicts, reasons, verdict_words
from reproduce.tables.layout import Table, cells, stand_ins, to_csv, to_latex
from reproduce.tables.metric_names import METRICS
from reproduce.tables.statistics import CONFIDENCE, RESAMPLES

LEGEND = Legend(
    [
        (
            "reproduced",
            "the published number lies in the measured interval, widened by the table's tolerance",
        ),
        ("differs", "it lies outside"),
        (
            "not comparable",
            "another data set, network or pictures, or the paper has no such cell; the reason is below",
        ),
        ("not run", "no result is stored; the reason is below"),
    ]
)


def tables_section(given: Given) -> Iterator[Block]:
    """Every table of every experiment, then, in a report of whole papers, the published ones that none measures."""
    yield Heading(2, "Tables", "tables")
    yield Paragraph(
        "Published beside measured; below it the "
        f"{CONFIDENCE:.0%} interval and the number n of images, training runs or, of seconds, batches behind the "
        "measured mean. "
        f"Intervals over images are percentile bootstrap intervals of {RESAMPLES} resamples, too narrow where images "
        "are few (of 4 about 80 % hold the true mean); over runs Student's t. "
        "Bold: best of its column, among means over the most images. An en dash: not printed in the paper, or not run. "
        "A metric's name leads to its line in [the list of metrics](#metrics)."
    )
    yield LEGEND
    for outcome in given.told:
        for name, table in outcome.tables.items():
            yield from _table(given, outcome, name, table)
    left = _left(given)
    for name in left:
        yield from _unmeasured(given, name)
    yield from _metrics(given, left)


def _left(given: Given) -> list[str]:
    """Published tables that no experiment of the profile stands beside; none where it only looks at some pictures."""
    shown = {name for outcome in given.told for name in outcome.tables}
    return [name for name in tables() if name not in shown and not given.workspace.profile.is_excerpt]


def _metrics(given: Given, left: list[str]) -> Iterator[Block]:
    """One line for each metric of the tables: what it is, and which end of it is good."""
    yield Heading(3, "Metrics", "metrics")
    frames = [table.cells for outcome in given.told for table in outcome.tables.values()]
    shown = {name for frame in (*frames, *map(published, left)) for name in frame["metric"]}
    words = {"up": "higher is better", "down": "lower is better", "neither": "a baseline"}
    lines = [
        [
            Cell(metric.header, anchor=f"metric-{anchor(name)}"),
            Cell(metric.description),
            Cell(metric.unit),
            Cell(words[metric.better]),
        ]
        for name, metric in METRICS.items()
        if name in shown
    ]
    yield Grid([[(head, 1) for head in ("metric", "what it is", "unit", "direction")]], lines, "words")


def _table(given: Given, outcome: Outcome, name: str, table: Table) -> Iterator[Block]:
    title, _, rest = table.caption.partition("; ")
    yield Heading(3, title, f"table-{name}")
    yield Paragraph(
        f"{rest[:1].upper()}{rest[1:]}. {verdict_words(count_verdicts([table.cells]))}.".lstrip(". ")
    )
    yield Command(given.recompute(outcome))
    if not judged(table):
        yield Banner(
            f"Not comparable with the paper's numbers: {_why(table)}. What its rows claim is judged above."
        )
    yield replace(cell_grid(table), files=as_files(name, to_csv(table), to_latex(table)))
    yield how_made(given, outcome.experiment, table)
    yield Items(_notes(table, name), small=True)


def _why(table: Table) -> str:
    """Why no cell is comparable, in the words of the cells that were measured."""
    measured = table.cells[table.cells["n"] > 0]
    return "; ".join(dict.fromkeys(measured["reason"])) or "nothing is measured"


def _notes(table: Table, name: str) -> list[str]:
    """Stand-ins, reasons, tolerances, sources and remarks below a table."""
    frame = table.cells
    known = frame[frame["published"].notna()]
    tolerances = known[known["tolerance"].notna() & known["verdict"].isin(["reproduced", "differs"])]
    limits = tolerances.groupby(["tolerance", "reason"], sort=False)["metric"].unique()
    notes = [
        stand_ins(frame).strip(),
        *(f"{reason}." for reason in reasons(frame)),
        *(f"Tolerance {t:g} of {', '.join(names)}: {why}." for (t, why), names in limits.items()),
        *(f"Published: {source}." for source in known["source"].unique()),
        *(f"Note: {note}." for note in known["note"].unique() if note),
        f"Cells in full: `tables/{name}.csv`; for a paper: `tables/{name}.tex`.",
    ]
    return [note for note in notes if note]


def _unmeasured(given: Given, name: str) -> Iterator[Block]:
    """A published table that nothing is measured for, all cells "not run"."""
    frame = published(name)
    why = REASONS.get(name, f"not part of the profile {given.workspace.profile.name!r}, or not asked for")
    yield Heading(3, f"Published, not measured: {name}", f"table-{name}")
    yield Paragraph(f"Not run: {why}.")
    groups = ("dataset", "network") if frame["dataset"].nunique() > 1 else ("network",)
    table = Table(cells(frame), f"Published, not measured: {name}", groups=groups)
    yield replace(cell_grid(table), files=as_files(name, to_csv(table), to_latex(table)))
    yield Paragraph("Nothing was run for it: no images, no seeds, no time.", small=True)
    yield Items([f"Published: {source}." for source in frame["source"].unique()], small=True)
