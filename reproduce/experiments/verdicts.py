"""What tables come to: verdicts counted, and the reasons of cells without a verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import pandas as pd

from reproduce.tables.statistics import VERDICTS


def count_verdicts(tables: Iterable[pd.DataFrame]) -> Counter[str]:
    """How many cells have each verdict, of tables of cells (`Table.cells`)."""
    return sum((Counter(cells["verdict"]) for cells in tables), Counter())


def verdict_words(counts: Counter[str]) -> str:
    """The counts in words: "3 reproduced, 1 differs, 20 not comparable, 4 not run"."""
    return ", ".join(f"{counts[verdict]} {verdict}" for verdict in VERDICTS)


def reasons(cells: pd.DataFrame) -> list[str]:
    """Why cells have no verdict of agreement or difference, with how many each reason is of."""
    counts = cells[~cells["verdict"].isin(["reproduced", "differs"])].groupby(["verdict", "reason"]).size()
    return [f"{count} {verdict}: {reason}" for (verdict, reason), count in counts.items()]
