"""The papers' claims, each with its published and measured difference and its verdict; this project's own apart."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from reproduce.claims.judging import SHOWN
from reproduce.claims.summary import contradicted_first, evidence, parts_against_global
from reproduce.report.content import Given
from reproduce.report.document import MARKS, Block, Cell, Command, Grid, Heading, Legend, Paragraph, Whisker
from reproduce.report.sections.making import seeds
from reproduce.tables.network_names import network_name

HEADS = ("claim", "verdict", "after Holm", "published and measured difference", "network")
DRAWN = (
    "In the drawing zero is the thin line; the dot is the measured difference with its interval, the hollow diamond "
    "the published one, each claim at its own scale. Click a heading to sort, type words to filter."
)
RULE = (
    "The rule was written before the results. A published ordering is judged on paired differences: over images by a "
    "95 % BCa bootstrap interval, over seeds by Student's t. Of few images that interval is widened as Student's t is, "
    "and may reach further than any difference can, beyond 100 points. Beside the plain verdict stands the one after "
    "Holm's adjustment for the family: a table's orderings, those of seconds, a machine's own, apart, or the "
    "comparisons that one assertion rests on. An assertion agrees where all of its comparisons do, and is contradicted "
    "where one is. Nothing is averaged over cells that the papers report apart."
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
    yield Paragraph(DRAWN, small=True)
    yield Command(given.command("claims"))
    yield Paragraph(
        "How many images or seeds a verdict rests on stands in its line. "
        f"Opti-CAM: {seeds(given, 'Opti-CAM')}. DP-Net: {seeds(given, 'DP-Net')}. Verdicts are judged from stored "
        "results when the report is written; what computing those took stands below [their tables](#tables) and "
        "under [run times](#run-times).",
        small=True,
    )
    papers = claims[claims["kind"] != "own statement"]
    contradicted = papers[papers["verdict"] == "contradicts"]
    yield Heading(3, "Contradicted", "claims-contradicted")
    yield _grid(contradicted, anchors=False) if len(contradicted) else Paragraph("None.")
    yield Heading(3, "DP-Net: Parts against Global, cell by cell", "claims-dpnet")
    yield _grid(parts_against_global(papers), anchors=False)
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


def claim_anchor(kind: str, paper: str, state: str) -> str:
    """What links to the first claim of a kind and paper with a verdict."""
    return "-".join((kind, paper, state)).lower().replace(" ", "-").replace(",", "")


def _grid(claims: pd.DataFrame, anchors: bool = True) -> Grid:
    """The claims, contradicted ones first; the first of each paper and verdict can be linked to."""
    seen: set[str] = set()
    lines = []
    for _, claim in contradicted_first(claims).iterrows():
        anchor = claim_anchor(claim["kind"], claim["paper"], claim["verdict"])
        lines.append(_line(claim, anchor if anchors and anchor not in seen else ""))
        seen.add(anchor)
    return Grid([[(name, 1) for name in HEADS]], lines, "words", filtered=True)


def _whisker(claim: pd.Series) -> Whisker | None:
    if not claim["n"] or claim[["measured", "low", "high"]].isna().any():
        return None
    published = None if pd.isna(claim["published"]) else float(claim["published"])
    return Whisker(float(claim["measured"]), float(claim["low"]), float(claim["high"]), published)


def _line(claim: pd.Series, anchor: str) -> list[Cell]:
    place = " ".join(part for part in (claim["dataset"], network_name(claim["network"])) if part)
    own = network_name(claim["measured_network"]) or "\N{EN DASH}"
    return [
        Cell(claim["claim"], detail=f"{claim['place']}, {claim['paper']}", anchor=anchor),
        _verdict(claim["verdict"]),
        _verdict(claim["adjusted_verdict"]),
        Cell(evidence(claim), whisker=_whisker(claim)),
        Cell(own, detail=f"for {place}" if place else ""),
    ]


def _verdict(state: str) -> Cell:
    return Cell(state, state if state in MARKS and state != SHOWN else "")
