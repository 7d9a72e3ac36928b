"""The section of the papers' claims, each with the rows that decide it."""

from __future__ import annotations

from collections.abc import Iterator

from reproduce.experiments import Claim
from reproduce.experiments.outcome import Outcome
from reproduce.experiments.verdicts import claim_state, claim_words
from reproduce.report.content import Given
from reproduce.report.document import Block, Cell, Command, Grid, Heading, Legend, Paragraph

HEADS = ("claim", "verdict", "decided by", "where", "should it hold here?")


def claims_section(given: Given) -> Iterator[Block]:
    """Every claim: verdict, evidence, where its rows are, and whether it should hold on this profile."""
    claims = given.claims
    yield Heading(2, "The papers' claims", "claims")
    yield Paragraph(f"{claim_words(claim for _, claim in claims)}.")
    yield Legend(
        [
            ("holds", "the stored results bear it out"),
            ("does not hold", "they do not"),
            ("not tested", "results are missing"),
        ]
    )
    yield Paragraph(
        "Claims that should hold on this profile are judged, with every comparable cell, by a command that ends "
        "in a non-zero exit status where one fails:"
    )
    yield Command(given.command("check"))
    heads = [[(name, 1) for name in HEADS]]
    yield Grid(heads, [_line(outcome, claim) for outcome, claim in claims], "words")


def _line(outcome: Outcome, claim: Claim) -> list[Cell]:
    state = claim_state(claim)
    places = ", ".join(f"`{name}`" for name in outcome.tables) or "stored rows of its figures"
    should = "yes" if claim.expected else "cannot be decided"
    return [
        Cell(claim.text),
        Cell(state, state),
        Cell(claim.evidence),
        Cell(f"`{outcome.experiment.name}`", detail=places),
        Cell(should, detail=claim.reason),
    ]
