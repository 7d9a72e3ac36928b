"""The report's beginning: what is reproduced exactly, what the claims come to, and what became of every number."""

from __future__ import annotations

from collections.abc import Iterator

from reproduce.claims.expectations import box_row
from reproduce.claims.measured import stored_results
from reproduce.claims.numbers import number_counts, numbers
from reproduce.claims.summary import KINDS, STATES, counts, part_cells, run_papers, scope
from reproduce.experiments.verdicts import count_verdicts
from reproduce.report.content import Given
from reproduce.report.document import MARKS, Block, Cell, Grid, Heading, Items, Paragraph
from reproduce.tables.statistics import VERDICTS

TITLE = "Opti-CAM and DP-Net: published beside measured"


def summary_section(given: Given) -> Iterator[Block]:
    """Exact numbers first, then the counts of claims, cells and numbers."""
    profile = given.workspace.profile
    yield Heading(1, TITLE)
    yield Paragraph(
        "Published numbers are those that the papers and the authors' slides print; every one stands with its "
        f"source in `reproduce/published/`. Measured numbers are those of the profile `{profile.name}`."
    )
    yield from _exact(given)
    yield Paragraph("What verdicts on this profile can tell:")
    yield Items([f"{paper}. {scope(profile, paper)}" for paper in run_papers(profile)])
    yield _claims(given)
    cells = part_cells(given.claims)
    if cells:
        yield Paragraph(
            "DP-Net, Parts less Global in points of accuracy, cell by cell as the paper reports them:"
        )
        yield Items(cells)
    found = count_verdicts(t.cells for outcome in given.told for t in outcome.tables.values())
    yield Grid(
        [[("cells of the tables", 1), ("number", 1)]],
        [[Cell(verdict, verdict), Cell(str(found[verdict]))] for verdict in VERDICTS],
    )
    yield from _numbers(given)


def _exact(given: Given) -> Iterator[Block]:
    """The cells that follow from ImageNet's boxes: the published numbers that are reproduced to the digit."""
    rows = box_row(given.measured("checks"))
    if rows is None:
        yield Paragraph(
            "No published number is reproduced exactly yet: the check of ImageNet's boxes was not run."
        )
        return
    yield Paragraph(
        f"The only published numbers reproduced exactly: {len(rows)} cells of Fake-CAM, which follow from the boxes of "
        f"{rows['images'].iloc[0]} ImageNet pictures by the authors' code, whatever the machine."
    )
    heads = [[(name, 1) for name in ("Fake-CAM", "published", "measured")]]
    lines = [
        [Cell(row.metric), Cell(f"{row.published:.1f}"), Cell(f"{row.legacy:.2f}")]
        for row in rows.itertuples()
    ]
    yield Grid(heads, lines)


def _claims(given: Given) -> Grid:
    """One line a kind of claim and paper: how many have each verdict, in brackets after Holm's adjustment."""
    lines = []
    for kind, words in KINDS.items():
        for paper, own in counts(given.claims, kind).groupby("paper", sort=False):
            found = {row.state: f"{row.plain} ({row.adjusted})" for row in own.itertuples()}
            chance = own["chance"].dropna()
            marks = [state if state in MARKS and state in found else "" for state in STATES]
            cells = [Cell(found.get(state, ""), mark) for state, mark in zip(STATES, marks)]
            by_chance = Cell(f"{chance.iloc[0]:.0f} each" if len(chance) else "")
            lines.append([Cell(f"{paper}: {words}"), *cells, by_chance])
    names = ("claims (after Holm)", *STATES, "agree, contradict by chance")
    return Grid([[(name, 1) for name in names]], lines)


def _numbers(given: Given) -> Iterator[Block]:
    """Printed, distinct and measured numbers by paper, and why the others have none beside them."""
    found = numbers(stored_results(given.workspace))
    heads = [[(name, 1) for name in ("numbers", "printed", "distinct", "distinct and measured here")]]
    rows = number_counts(found)
    yield Grid(heads, [[Cell(row.paper), *(Cell(str(n)) for n in row[2:])] for row in rows.itertuples()])
    missing = found[~found["measured"]].groupby(["table", "network", "reason"], sort=False).size()
    yield Paragraph("Numbers without a measured one beside them, and why:")
    yield Items([f"{n} of {table}, {network}: {reason}" for (table, network, reason), n in missing.items()])
