"""The report's beginning: what holds, what was compared, and where the numbers come from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from reproduce.experiments.verdicts import FAILS, HOLDS, UNTESTED, claim_state, count_verdicts
from reproduce.report.content import Given
from reproduce.report.document import Block, Cell, Grid, Heading, Items, Paragraph
from reproduce.tables.statistics import VERDICTS

TITLE = "Opti-CAM and DP-Net: published beside measured"


def summary_section(given: Given) -> Iterator[Block]:
    """Counts of claims and cells, what failed, and the sources."""
    yield Heading(1, TITLE)
    yield Paragraph(_origin(given))
    states = Counter((claim_state(claim), claim.expected) for _, claim in given.claims)
    yield Grid(
        [[("claims of the papers", 1), ("should hold here", 1), ("this profile cannot decide", 1)]],
        [
            [Cell(s, s), Cell(str(states[s, True])), Cell(str(states[s, False]))]
            for s in (HOLDS, FAILS, UNTESTED)
        ],
    )
    counts = count_verdicts(t.cells for outcome in given.told for t in outcome.tables.values())
    yield Grid(
        [[("cells of the tables", 1), ("number", 1)]],
        [[Cell(verdict, verdict), Cell(str(counts[verdict]))] for verdict in VERDICTS],
    )
    failed = [c.text for _, c in given.claims if c.expected and claim_state(c) == FAILS]
    if failed:
        yield Paragraph("Claims that should hold here and do not:")
        yield Items(failed)


def _origin(given: Given) -> str:
    profile = given.workspace.profile
    return (
        "Published numbers are those that the papers and the authors' slides print; every one stands with its "
        "source in `reproduce/published/`. Measured numbers are those of the profile "
        f"`{profile.name}`: {profile.title}. {_comparability(given)}"
    )


def _comparability(given: Given) -> str:
    profile = given.workspace.profile
    parts = [part for part in (profile.saliency, profile.parts) if part]
    if any(part.comparable for part in parts):
        return "Its pictures and networks are those of the papers, so cells are compared."
    return (
        "Its pictures and networks are not those of the papers: no cell can be compared, and what is judged are "
        "the papers' claims, which are about orderings."
    )
