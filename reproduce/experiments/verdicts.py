"""What tables and claims come to: verdicts counted, claims told apart, the reasons of cells without a verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pandas as pd

from reproduce.experiments import Claim
from reproduce.tables.statistics import VERDICTS

HOLDS, FAILS, UNTESTED = "holds", "does not hold", "not tested"


def claim_state(claim: Claim) -> str:
    """ "holds", "does not hold" or "not tested"."""
    return {True: HOLDS, False: FAILS, None: UNTESTED}[claim.holds]


def count_claims(claims: Iterable[Claim]) -> Counter[str]:
    """How many claims are in each state."""
    return Counter(claim_state(claim) for claim in claims)


def count_verdicts(tables: Iterable[pd.DataFrame]) -> Counter[str]:
    """How many cells have each verdict, of tables of cells (`Table.cells`)."""
    return sum((Counter(cells["verdict"]) for cells in tables), Counter())


def verdict_words(counts: Counter[str]) -> str:
    """The counts in words: "3 reproduced, 1 differs, 20 not comparable, 4 not run"."""
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)


def claim_words(claims: Iterable[Claim]) -> str:
    """The states in words: "30 hold, 2 do not hold, 1 not tested"."""
    counts = count_claims(claims)
    return f"{counts[HOLDS]} hold, {counts[FAILS]} do not hold, {counts[UNTESTED]} not tested"


def reasons(cells: pd.DataFrame) -> list[str]:
    """Why cells have no verdict of agreement or difference, with how many each reason is of."""
    counts = cells[~cells["verdict"].isin(["reproduced", "differs"])].groupby(["verdict", "reason"]).size()
    return [f"{count} {verdict}: {reason}" for (verdict, reason), count in counts.items()]
