"""The claims of all experiments with their verdicts in one CSV file, one line a claim."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path

import pandas as pd

from reproduce.experiments import EXPERIMENTS, Claim

COLUMNS = [field.name for field in fields(Claim)]


def replace_claims(path: Path, claims: Mapping[str, Iterable[Claim]]) -> None:
    """Write the claims of some experiments, by name, in place of those that the file has of them."""
    kept = _table(path)
    kept = kept[~kept["experiment"].isin(claims)]
    new = [{"experiment": name, **asdict(claim)} for name, own in claims.items() for claim in own]
    lines = [*kept.to_dict("records"), *new]
    places = {name: place for place, name in enumerate(EXPERIMENTS)}
    lines.sort(key=lambda line: places.get(line["experiment"], len(places)))
    pd.DataFrame(lines, columns=["experiment", *COLUMNS]).to_csv(path, index=False, lineterminator="\n")


def read_claims(path: Path, experiments: Iterable[str]) -> list[Claim]:
    """The claims of some experiments, by name, in the file's order; none where there is no file."""
    table = _table(path)
    chosen = table[table["experiment"].isin(list(experiments))]
    return [Claim(**{name: line[name] for name in COLUMNS}) for line in chosen.to_dict("records")]


def _table(path: Path) -> pd.DataFrame:
    """The file's lines with verdicts as True, False or None; empty for no file, or one of other columns."""
    columns = ["experiment", *COLUMNS]
    if not path.is_file():
        return pd.DataFrame(columns=columns)
    table = pd.read_csv(path, keep_default_na=False, dtype=str)
    if list(table.columns) != columns:
        return pd.DataFrame(columns=columns)
    truth = {"True": True, "False": False, "": None}
    decided = {name: [truth.get(text) for text in table[name]] for name in ("holds", "expected")}
    return table.assign(**{name: pd.Series(values, dtype=object) for name, values in decided.items()})
