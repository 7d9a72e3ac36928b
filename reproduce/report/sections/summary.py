"""The report's beginning: what is reproduced exactly, what the claims come to, and what became of every number."""

from __future__ import annotations

from collections.abc import Iterator

from reproduce.claims.expectations import box_row
from reproduce.claims.measured import stored_results
from reproduce.claims.numbers import number_counts, numbers
from reproduce.claims.summary import KINDS, counts, part_cells, run_papers, scope
from reproduce.experiments.outcome import compare_outcomes
from reproduce.report.content import Given
from reproduce.report.document import (
    MARKS,
    Bar,
    Bars,
    Block,
    Cell,
    Folded,
    Grid,
    Heading,
    Items,
    Paragraph,
    Tile,
    Tiles,
)
from reproduce.report.sections.claims import claim_anchor
from reproduce.tables.cells import count_verdicts
from reproduce.tables.comparison import COMPARED
from reproduce.tables.statistics import CELL_VERDICTS
from reproduce.workspace.paths import committed_tables

TITLE = "Opti-CAM and DP-Net: published beside measured"


def summary_section(given: Given) -> Iterator[Block]:
    """Exact numbers first, then the counts of claims, cells and numbers."""
    profile = given.workspace.profile
    yield Heading(1, TITLE)
    yield Paragraph(
        "Two papers on explaining image classifiers, recomputed: every ordering of their tables and the assertions of "
        "their texts are judged by one rule that was written before the results. Published numbers stand with their "
        f"source in `reproduce/published/`; measured ones are those of the profile `{profile.name}`."
    )
    yield Tiles(list(_tiles(given)))
    yield _bars(given)
    yield Items([f"{paper} on {scope(given.workspace, paper)}" for paper in run_papers(profile)])
    yield from _exact(given)
    cells = part_cells(given.claims)
    if cells:
        yield Paragraph(
            "DP-Net, Parts less Global in points of accuracy, cell by cell as the paper reports them:"
        )
        yield Items(cells)
    found = count_verdicts(t.cells for outcome in given.told for t in outcome.tables.values())
    yield Grid(
        [[("cells of the tables", 1), ("number", 1)]],
        [[Cell(verdict, verdict), Cell(str(found[verdict]))] for verdict in CELL_VERDICTS],
    )
    yield from _numbers(given)


def _tiles(given: Given) -> Iterator[Tile]:
    """What is exact, how this run compares with the published one, and where and when it ran."""
    rows = box_row(given.measured("checks"))
    if rows is not None:
        images = f"{int(rows['images'].iloc[0]):,}"
        yield Tile(
            "reproduced exactly",
            f"{len(rows)} published numbers",
            f"from the boxes of {images} ImageNet pictures",
        )
    committed = committed_tables(given.workspace.profile.name)
    if committed and committed.is_dir() and committed != given.folder / "tables":
        states = compare_outcomes(given.told, committed)["state"]
        whole, equal = states.isin(COMPARED).sum(), (states == "equal").sum()
        yield Tile("as in the published run", f"{equal:,} of {whole:,} cells", "that both have measured")
    runs, stages = given.workspace.store.runs(), given.stages
    if len(runs):
        last = runs.iloc[-1]
        minutes = stages["seconds"].sum() / 60
        yield Tile("computed in", f"{minutes:.0f} minutes", f"{last['device']}, commit {last['commit']}")


def _bars(given: Given) -> Bars:
    """One bar for each kind of claim and paper; every part leads to its claims."""
    bars = []
    for kind, words in KINDS.items():
        for paper, own in counts(given.claims, kind).groupby("paper", sort=False):
            parts = [
                (row.state, int(row.plain), claim_anchor(kind, paper, row.state))
                for row in own.itertuples()
                if row.state in MARKS
            ]
            chance = own["chance"].dropna()
            detail = [f"{row.state} {row.adjusted}" for row in own.itertuples() if row.state in MARKS]
            by_chance = f"; by chance {chance.iloc[0]:.0f} on either side" if len(chance) else ""
            bars.append(Bar(f"{paper}: {words}", parts, f"after Holm: {', '.join(detail)}{by_chance}"))
    return Bars(bars)


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


def _numbers(given: Given) -> Iterator[Block]:
    """Printed, distinct and measured numbers by paper, and why the others have none beside them."""
    found = numbers(stored_results(given.workspace))
    heads = [[(name, 1) for name in ("numbers", "printed", "distinct", "distinct and measured here")]]
    rows = number_counts(found)
    yield Grid(heads, [[Cell(row.paper), *(Cell(str(n)) for n in row[2:])] for row in rows.itertuples()])
    missing = found[~found["measured"]].groupby(["table", "network", "reason"], sort=False).size()
    texts = [f"{n} of {table}, {network}: {reason}" for (table, network, reason), n in missing.items()]
    yield Folded(f"{missing.sum()} numbers without a measured one beside them, and why", texts)
