"""What the papers' texts assert beyond their tables, read from `published/claims.csv`; this project's
own statements have the same columns in a file of their own. How they are written:

The column `cells` names what an assertion rests on, one or several separated by ";":

    TABLE | NETWORK | METRIC | LEFT > RIGHT        or  LEFT < RIGHT

NETWORK is a published network, DATASET/NETWORK, or "*" for all. LEFT and RIGHT are methods; "*" is every other
method of the table, "* except A / B" leaves some out. RIGHT may also be a number, "0.1 x METHOD", "METHOD - 0.6", or
"same in TABLE", the method of LEFT in another table.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path

import pandas as pd

from reproduce.claims.comparison import Comparison, printed, published_difference
from reproduce.claims.measured import Results
from reproduce.published.numbers import CLAIMS

STATISTICS = ("ordering", "shown", "other data")
OWN = Path(__file__).parent / "own_statements.csv"


@dataclass(frozen=True)
class Assertion:
    """One row of a file of assertions; all texts, see the module for `cells`.

    statistic: "ordering" is judged on `cells`; "shown", qualitative or of a kind that `cells` cannot say, is never
    judged; "other data" needs what no profile has. borne_out: whether the paper's own table bears it out in every
    cell, exceptions named.
    """

    id: str
    paper: str
    place: str
    assertion: str
    cells: str
    statistic: str
    borne_out: str
    decided_by: str


@dataclass(frozen=True)
class Instance:
    """An assertion on one data set and network, which the papers report apart; own is the measured network or ""."""

    assertion: Assertion
    dataset: str
    network: str
    own: str
    comparisons: tuple[Comparison, ...]


@cache
def assertions(path: Path = CLAIMS) -> tuple[Assertion, ...]:
    """The rows of a file. Raises ValueError for other columns, an unknown statistic, or cells without a meaning."""
    table = pd.read_csv(path, dtype=str, keep_default_na=False)
    names = [field.name for field in fields(Assertion)]
    if list(table.columns) != names:
        raise ValueError(f"{path.name}: columns {list(table.columns)} given; accepted are {names}")
    found = tuple(Assertion(**row) for row in table.to_dict("records"))
    for assertion in found:
        if assertion.statistic not in STATISTICS:
            raise ValueError(
                f"{path.name}: statistic {assertion.statistic!r} of {assertion.id}; accepted: {STATISTICS}"
            )
        if assertion.statistic == "ordering":
            _cells(assertion)
    return found


def instances(assertion: Assertion, results: Results) -> list[Instance]:
    """The assertion on every published network and, of figures and own tables, on every measured one."""
    stated = [(cell, place) for cell in _cells(assertion) for place in _places(cell, results)]
    measured = list(dict.fromkeys(place for _, place in stated if place[2]))
    found: dict[tuple[str, str, str], list[Comparison]] = {}
    for cell, place in stated:
        # A table that did not run is of the network that the others measured, or the claim would fall into two.
        beside = [other for other in measured if other[:2] == place[:2]] if not place[2] else []
        for where in beside or [place]:
            found.setdefault(where, []).extend(_comparisons(cell, *where, results))
    return [Instance(assertion, *place, tuple(comparisons)) for place, comparisons in found.items()]


_CELL = re.compile(
    r"(?P<table>\S+) \| (?P<network>.+?) \| (?P<metric>.+?) \| (?P<left>.+?) (?P<sign>[<>]) (?P<right>.+)"
)
_RIGHT = re.compile(r"(?:(?P<factor>[\d.]+) x )?(?P<method>.+?)(?: - (?P<less>[\d.]+))?")
_NUMBER = re.compile(r"-?[\d.]+")


def _cells(assertion: Assertion) -> list[re.Match[str]]:
    texts = assertion.cells.split(";")
    found = [cell for text in texts if (cell := _CELL.fullmatch(text.strip()))]
    if len(found) < len(texts):
        raise ValueError(
            f"cells of {assertion.id}: {assertion.cells!r} given; accepted: TABLE | NETWORK | METRIC | A > B"
        )
    return found


def _places(cell: re.Match[str], results: Results) -> list[tuple[str, str, str]]:
    """Where a cell is asserted: data set, network, and the measured network beside it or ""."""
    table, network = cell["table"], cell["network"]
    dataset, _, name = network.rpartition("/")
    paper = list(dict.fromkeys(key[:2] for key in printed(table)))
    measured = results.places(table)
    places = [(*place, own) for place in paper for own in results.networks(table, *place) or [""]] or measured
    places = places or [("", "" if name == "*" else name, "")]
    return [place for place in places if name in ("*", place[1]) and dataset in ("", "*", place[0])]


def _comparisons(
    cell: re.Match[str], dataset: str, network: str, own: str, results: Results
) -> Iterator[Comparison]:
    table, metric, sign = cell["table"], cell["metric"], 1 if cell["sign"] == ">" else -1
    names = [key[3] for key in printed(table) if key[:3] == (dataset, network, metric)] or results.methods(
        table, own
    )
    for left in _methods(cell["left"], names):
        for right, where, factor, offset in _rights(cell["right"], left, names):
            values = published_difference(
                (dataset, network, metric), (table, left), (where or table, right), factor, offset
            )
            yield Comparison(
                table, dataset, network, metric, left, right, sign, values, 0.0, factor, offset, where
            )


def _rights(text: str, left: str, names: list[str]) -> list[tuple[str, str, float, float]]:
    """Method, table if another, factor and offset of each right side."""
    if _NUMBER.fullmatch(text):
        return [("", "", 1.0, float(text))]
    if text.startswith("same in "):
        return [(left, text.removeprefix("same in "), 1.0, 0.0)]
    found = _RIGHT.fullmatch(text)
    if found is None:
        raise ValueError(f"cells: {text!r} names no right side")
    factor, offset = float(found["factor"] or 1), -float(found["less"] or 0)
    return [(method, "", factor, offset) for method in _methods(found["method"], names) if method != left]


def _methods(text: str, names: list[str]) -> list[str]:
    """The methods that a side names."""
    if not text.startswith("*"):
        return [text]
    left_out = text.removeprefix("*").removeprefix(" except ").split(" / ")
    return [name for name in names if name not in left_out]
