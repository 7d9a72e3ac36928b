"""Every claim of a profile, judged on its stored results by the rule of `reproduce.claims.verdicts`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from reproduce.claims.assertions import OWN, Assertion, Instance, assertions, instances
from reproduce.claims.comparison import Comparison
from reproduce.claims.intervals import Difference
from reproduce.claims.measured import Results, differences
from reproduce.claims.orderings import orderings, paper_of
from reproduce.claims.verdicts import Verdict, all_of, holm, needed, verdict
from reproduce.published.numbers import CLAIMS
from reproduce.tables.metric_names import SECONDS

SHOWN = "shown, not judged"


@dataclass(frozen=True)
class Judged:
    """A comparison with what was measured of it, over so many of a unit.

    plain, adjusted: verdicts before and after Holm in its family.
    """

    comparison: Comparison
    own: str
    difference: Difference
    n_left: int
    n_right: int
    unit: str
    plain: Verdict
    adjusted: Verdict

    @property
    def needed(self) -> int | None:
        """How many images or seeds would decide it, where it is inconclusive."""
        return needed(self.comparison, self.difference) if self.plain == "inconclusive" else None


@dataclass(frozen=True)
class JudgedAssertion:
    """An assertion on one network with its comparisons; the family of Holm's adjustment are these."""

    assertion: Assertion
    dataset: str
    network: str
    own: str
    parts: tuple[Judged, ...]

    @property
    def plain(self) -> str:
        """Agrees where all of its comparisons do; contradicted where one is."""
        return self._state([part.plain for part in self.parts])

    @property
    def adjusted(self) -> str:
        """The same after Holm's adjustment over its comparisons, which leaves none of what was decided unrun."""
        state = self._state([part.adjusted for part in self.parts])
        return "inconclusive" if state == "not run" != self.plain else state

    def _state(self, verdicts: list[Verdict]) -> str:
        return SHOWN if self.assertion.statistic == "shown" else all_of(verdicts)


@dataclass(frozen=True)
class Claims:
    """All of a profile: orderings of the tables, assertions of the texts, and this project's own statements."""

    orderings: tuple[Judged, ...]
    assertions: tuple[JudgedAssertion, ...]
    own: tuple[JudgedAssertion, ...]


def judge(results: Results) -> Claims:
    """Judge everything on what is stored; nothing is computed anew."""
    tables = [
        _Job(ordering.table, ordering, own)
        for ordering in orderings()
        for own in results.networks(ordering.table, ordering.dataset, ordering.network) or [""]
    ]
    texts = [_instances(path, results) for path in (CLAIMS, OWN)]
    jobs = [
        _Job(str(id(instance)), comparison, instance.own)
        for instance in [*texts[0], *texts[1]]
        for comparison in instance.comparisons
    ]
    judged = _judged([*tables, *jobs], results)
    rest = iter(judged[len(tables) :])
    papers, own = ([_collected(instance, rest) for instance in instances] for instances in texts)
    return Claims(tuple(judged[: len(tables)]), tuple(papers), tuple(own))


class _Job(NamedTuple):
    """A comparison on a measured network ("" for none), of a table or of one assertion."""

    place: str
    comparison: Comparison
    own: str

    @property
    def family(self) -> str:
        """What Holm's adjustment is over: seconds, a machine's own, stand apart and move no other verdict."""
        return f"{self.place}, seconds" if self.comparison.metric == SECONDS else self.place


def _instances(path: Path, results: Results) -> list[Instance]:
    """Every assertion of a file on every network; one that is not judged on cells stands once."""
    return [
        instance
        for found in assertions(path)
        for instance in (
            instances(found, results) if found.statistic == "ordering" else [Instance(found, "", "", "", ())]
        )
    ]


def _collected(instance: Instance, judged: Iterator[Judged]) -> JudgedAssertion:
    parts = tuple(islice(judged, len(instance.comparisons)))
    return JudgedAssertion(instance.assertion, instance.dataset, instance.network, instance.own, parts)


def _judged(jobs: list[_Job], results: Results) -> list[Judged]:
    pairs = [results.pair(job.comparison, job.own) for job in jobs]
    found = differences(pairs)
    p = pd.Series([difference.p for difference in found], dtype=float)
    adjusted = p.groupby([job.family for job in jobs]).transform(lambda family: holm(family.to_numpy()))
    return [
        Judged(
            pair.comparison,
            pair.own,
            difference,
            pair.n_left,
            pair.n_right,
            pair.unit,
            verdict(pair.comparison, difference),
            verdict(pair.comparison, difference, by_family),
        )
        for pair, difference, by_family in zip(pairs, found, adjusted)
    ]


def frame(claims: Claims) -> pd.DataFrame:
    """One line per claim; an assertion's line has the comparison that decides it, and `parts` counts all of them."""
    lines = [_line("ordering", paper_of(j.comparison.table), j, [j]) for j in claims.orderings]
    for kind, group in (("assertion", claims.assertions), ("own statement", claims.own)):
        for judged in group:
            found = judged.assertion
            line = _line(kind, found.paper, _deciding(judged), judged.parts)
            own = {"claim": found.assertion, "place": found.place, "id": found.id, "verdict": judged.plain}
            place = {"dataset": judged.dataset, "network": judged.network, "measured_network": judged.own}
            lines.append(
                line | own | place | {"adjusted_verdict": judged.adjusted, "decided_by": found.decided_by}
            )
    return pd.DataFrame(lines, columns=COLUMNS)


COLUMNS = [
    *(
        "kind",
        "paper",
        "id",
        "place",
        "claim",
        "dataset",
        "network",
        "measured_network",
        "comparison",
        "parts",
    ),
    *(
        "published",
        "measured",
        "low",
        "high",
        "n",
        "n_left",
        "n_right",
        "unit",
        "p",
        "verdict",
        "adjusted_verdict",
    ),
    *("needed", "decided_by"),
]


def _line(kind: str, paper: str, judged: Judged | None, parts: Iterable[Judged]) -> dict[str, object]:
    line = dict.fromkeys(COLUMNS, "") | {"kind": kind, "paper": paper, "parts": len(list(parts))}
    if judged is None:
        return line | {"n": 0}
    comparison, found = judged.comparison, judged.difference
    return line | {
        "id": f"{comparison.table}/{comparison.words}",
        "place": comparison.table,
        "claim": comparison.words,
        "dataset": comparison.dataset,
        "network": comparison.network,
        "measured_network": judged.own,
        "comparison": comparison.words,
        "published": comparison.published,
        "measured": found.mean,
        "low": found.low,
        "high": found.high,
        "n": found.n,
        "n_left": judged.n_left,
        "n_right": judged.n_right,
        "unit": judged.unit,
        "p": found.p,
        "verdict": judged.plain,
        "adjusted_verdict": judged.adjusted,
        "needed": judged.needed or "",
    }


def _deciding(judged: JudgedAssertion) -> Judged | None:
    """The comparison with the assertion's own verdict, of several the least certain one."""
    same = [part for part in judged.parts if part.plain == judged.plain] or list(judged.parts)
    return max(same, key=lambda part: np.nan_to_num(part.difference.p, nan=2.0), default=None)
