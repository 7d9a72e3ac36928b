"""How many numbers the papers print, how many are distinct, and what became of each in a profile."""

from __future__ import annotations

from typing import Any

import pandas as pd

from reproduce.claims.measured import Results
from reproduce.claims.orderings import DEFAULTS, paper_of
from reproduce.published.numbers import published, split_label, tables

OTHERS = "dpnet_context"
"""Numbers of other papers, set beside DP-Net's for context; neither of the two papers prints them."""
RAW_PIXELS = "opticam_tableA14"
NO_PICTURES = "needs the Chest X-ray and Kvasir pictures, and networks trained on them, which are not public"
NO_NETWORK = "no network of this profile stands beside it"
NO_RESULT = "nothing is stored for this cell"
REASONS = {
    "opticam_tableA10": NO_PICTURES,
    "opticam_tableA11": NO_PICTURES,
    "opticam_text": "needs ImageNet, the medical networks, or a network trained on permuted labels",
    OTHERS: "another paper's number, beside DP-Net's for context",
}
"""Why no profile has numbers beside some published tables."""


def numbers(results: Results) -> pd.DataFrame:
    """One row a printed cell: table, paper, network, method, metric, repeats, measured, reason.

    repeats: whether an earlier table prints the same number of the same thing: its network, data set, pictures,
    method in the default setting, metric and value. reason: why the profile has no number beside it, else "".
    """
    names = sorted(tables(), key=lambda name: (*DEFAULTS, *tables()).index(name))
    found = pd.concat([published(name) for name in names], ignore_index=True)
    same = found.assign(method=[_plain(*row) for row in zip(found["table"], found["method"])])
    same["input"] = (found["table"] == RAW_PIXELS).to_numpy()
    key = ["dataset", "n_images", "network", "method", "metric", "value", "input"]
    reasons = [_reason(results, row) for row in found.itertuples()]
    return pd.DataFrame(
        {
            **{name: found[name] for name in ("table", "dataset", "network", "method", "metric")},
            "paper": ["other papers" if name == OTHERS else paper_of(name) for name in found["table"]],
            "repeats": same.duplicated(key),
            "measured": [not reason for reason in reasons],
            "reason": reasons,
        }
    )


def number_counts(found: pd.DataFrame) -> pd.DataFrame:
    """By paper: printed cells, distinct numbers, and how many distinct ones have a measured number beside them."""
    distinct = found[~found["repeats"]]
    return pd.DataFrame(
        {
            "printed": found.groupby("paper").size(),
            "distinct": distinct.groupby("paper").size(),
            "measured": distinct.groupby("paper")["measured"].sum(),
        }
    ).reset_index()


def _plain(table: str, method: str) -> str:
    """The method without its variant where that is the table's default setting."""
    base, variant = split_label(method)
    return base if variant == split_label(DEFAULTS.get(table, ""))[1] else method


def _reason(results: Results, cell: Any) -> str:
    if cell.table in REASONS:
        return REASONS[cell.table]
    own = results.networks(cell.table, cell.dataset, cell.network)
    if not own:
        return NO_NETWORK
    stored = any(results.has(cell.table, cell.dataset, name, cell.metric, cell.method) for name in own)
    return "" if stored else NO_RESULT
