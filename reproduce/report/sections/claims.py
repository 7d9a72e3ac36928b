"""The papers' claims, each with its published and measured difference and its verdict; this project's own apart."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from reproduce.claims.summary import SHOWN, evidence
from reproduce.report.content import Given
from reproduce.report.document import MARKS, Block, Cell, Command, Grid, Heading, Legend, Paragraph

HEADS = ("claim", "verdict", "after Holm", "published and measured difference", "network")
RULE = (
    "The rule was written before the results. A published ordering is judged on paired differences: over images by a "
    "95 % BCa bootstrap interval, over seeds by Student's t. Beside the plain verdict stands the one after Holm's "
    "adjustment for the family: a table's orderings, or the comparisons that one assertion rests on. An assertion "
    "agrees where all of its comparisons do, and is contradicted where one is. Nothing is averaged over cells that the "
    "papers report apart."
)
MEANINGS = Legend(
    [
        (
            "agrees",
            "the interval lies on the published side of zero (of a published tie: within half a digit)",
        ),
        ("contradicts", "it lies on the other side"),
        ("inconclusive", "it holds zero; the number that would decide it at 80 % power stands beside it"),
        ("not run", "nothing is stored, which is never a pass"),
    ]
)


def claims_section(given: Given) -> Iterator[Block]:
    """Contradicted claims, the six cells of DP-Net, then everything."""
    claims = given.claims
    yield Heading(2, "The papers' claims", "claims")
    yield Paragraph(RULE)
    yield MEANINGS
    yield Command(given.command("claims"))
    papers = claims[claims["kind"] != "own statement"]
    contradicted = papers[papers["verdict"] == "contradicts"]
    yield Heading(3, "Contradicted", "claims-contradicted")
    yield _grid(contradicted) if len(contradicted) else Paragraph("None.")
    yield Heading(3, "DP-Net: Parts against Global, cell by cell", "claims-dpnet")
    yield _grid(papers[(papers["kind"] == "ordering") & (papers["place"] == "dpnet_main")])
    yield Heading(3, "What the texts assert", "claims-assertions")
    yield _grid(papers[papers["kind"] == "assertion"])
    yield Heading(3, "Every ordering of the tables", "claims-orderings")
    yield _grid(papers[papers["kind"] == "ordering"])


def own_statements_section(given: Given) -> Iterator[Block]:
    """What this project states beyond the papers; never counted with their claims."""
    claims = given.claims
    yield Heading(2, "This project's own statements", "own-statements")
    yield Paragraph("Judged by the same rule, and in no count of the papers' claims.")
    yield _grid(claims[claims["kind"] == "own statement"])


def _grid(claims: pd.DataFrame) -> Grid:
    heads = [[(name, 1) for name in HEADS]]
    return Grid(heads, [_line(claim) for _, claim in claims.iterrows()], "words")


def _line(claim: pd.Series) -> list[Cell]:
    place = " ".join(part for part in (claim["dataset"], claim["network"]) if part)
    return [
        Cell(claim["claim"], detail=f"{claim['place']}, {claim['paper']}"),
        _verdict(claim["verdict"]),
        _verdict(claim["adjusted_verdict"]),
        Cell(evidence(claim)),
        Cell(claim["measured_network"] or "\N{EN DASH}", detail=f"for {place}" if place else ""),
    ]


def _verdict(state: str) -> Cell:
    return Cell(state, state if state in MARKS and state != SHOWN else "")
