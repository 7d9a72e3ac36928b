"""What the judged claims come to, in words and counts, and what a profile can tell about a paper at all."""

from __future__ import annotations

import pandas as pd

from reproduce.claims.judging import SHOWN
from reproduce.claims.verdicts import LEVEL, VERDICTS
from reproduce.saliency.papers_pictures import other_pictures
from reproduce.tables.metric_names import METRICS, printed
from reproduce.workspace.profile import Profile
from reproduce.workspace.workspace import Workspace

STATES = (*VERDICTS, SHOWN)
KINDS = {
    "ordering": "orderings of the tables",
    "assertion": "assertions of the text",
    "own statement": "own statements",
}
NUMBERS = ("published", "measured", "low", "high", "p", "needed")
ROUNDING = 1e-9
"""Below this a difference of percentages or points is one of rounding, and is printed as zero."""


def scope(workspace: Workspace, paper: str) -> str:
    """What verdicts on this profile and input say about a paper that it runs, in one sentence."""
    profile = workspace.profile
    part = profile.parts if paper == "DP-Net" else profile.saliency
    if part is None:
        raise ValueError(f"profile: {profile.name!r} has nothing for {paper}")
    if part.comparable:
        other = "" if paper == "DP-Net" else other_pictures(workspace, len(workspace.source.names))
        if other:
            return (
                f"{profile.title}: the paper's networks, but {other}. It tells whether an ordering carries over to "
                "them, and decides nothing about the paper's numbers."
            )
        return (
            f"{profile.title}: the paper's pictures and networks, so a verdict is one on the paper's numbers."
        )
    if part.source == "sample":
        return (
            f"{profile.title}: drawn pictures and small networks. It illustrates the claims and decides nothing about "
            "the papers' data sets and networks."
        )
    return (
        f"{profile.title}: real photographs, but other networks than the paper's. It tells whether an ordering carries "
        "over to them, and decides nothing about the paper's networks."
    )


def counts(claims: pd.DataFrame, kind: str) -> pd.DataFrame:
    """How many claims of a kind have each verdict: by paper and state, columns plain, adjusted and chance.

    chance: how many of the judged would have that verdict if no two rows differed: half of 5 % on either side.
    """
    own = claims[claims["kind"] == kind]
    rows = []
    for paper, group in own.groupby("paper", sort=False):
        judged = group["verdict"].isin(["agrees", "contradicts", "inconclusive"]).sum()
        for state in STATES:
            plain, adjusted = ((group[name] == state).sum() for name in ("verdict", "adjusted_verdict"))
            by_chance = (
                judged * LEVEL / 2
                if state in ("agrees", "contradicts") and kind == "ordering"
                else float("nan")
            )
            if plain or adjusted or state in VERDICTS:
                rows.append((paper, state, int(plain), int(adjusted), by_chance))
    return pd.DataFrame(rows, columns=["paper", "state", "plain", "adjusted", "chance"])


def run_papers(profile: Profile) -> list[str]:
    """The papers of which the profile runs anything."""
    parts = {"Opti-CAM": profile.saliency, "DP-Net": profile.parts}
    return [paper for paper, part in parts.items() if part is not None]


def contradicted_first(claims: pd.DataFrame) -> pd.DataFrame:
    """The claims by verdict in the order of `STATES`, within each as they were."""
    order = claims["verdict"].map({state: place for place, state in enumerate(STATES)})
    return claims.iloc[order.argsort(kind="stable")]


def parts_against_global(claims: pd.DataFrame) -> pd.DataFrame:
    """DP-Net's six cells."""
    return claims[(claims["kind"] == "ordering") & (claims["place"] == "dpnet_main")]


def part_cells(claims: pd.DataFrame) -> list[str]:
    """DP-Net's six cells, Parts less Global: published and measured difference, interval, seeds and verdict."""
    own = parts_against_global(claims)
    own = own[own["n"] > 0]
    return [
        f"{cell['dataset']} {cell['network']}: published {_number(cell, 'published')}, measured "
        f"{_number(cell, 'measured')} [{_number(cell, 'low')}, {_number(cell, 'high')}], {cell['n']} {cell['unit']}, "
        f"{cell['verdict']}"
        for _, cell in own.iterrows()
    ]


def headline(claims: pd.DataFrame, workspace: Workspace) -> list[str]:
    """The counts of each paper in a line of their own, contradictions first, and what the profile can tell."""
    lines, papers = [], run_papers(workspace.profile)
    claims = claims[claims["paper"].isin(papers) | (claims["kind"] == "own statement")]
    for kind, words in KINDS.items():
        for paper, group in counts(claims, kind).groupby("paper", sort=False):
            texts = [f"{row.plain} {row.state} (after Holm {row.adjusted})" for row in group.itertuples()]
            chance = group["chance"].dropna()
            by_chance = (
                f"; by chance {chance.iloc[0]:.0f} would agree and {chance.iloc[0]:.0f} contradict"
                if len(chance)
                else ""
            )
            lines.append(f"{paper}, {words}: {', '.join(texts)}{by_chance}")
    lines += [f"DP-Net, Parts less Global in points of accuracy, {cell}" for cell in part_cells(claims)]
    return [*lines, *(f"{paper} on {scope(workspace, paper)}" for paper in papers)]


def claim_line(claim: pd.Series) -> str:
    """One claim: verdicts, what is claimed, published and measured difference, interval and n."""
    words = f"{claim['verdict']:13} {claim['adjusted_verdict']:13} {claim['place']}: {claim['claim']}"
    if claim["kind"] != "ordering" and claim["network"]:
        words += f" [{claim['dataset']} {claim['network']}]".replace("[ ", "[")
    return f"{words} ({evidence(claim)})"


def evidence(claim: pd.Series) -> str:
    """Published and measured difference with its interval and both n, and what would decide an inconclusive claim."""
    if claim["verdict"] == SHOWN:
        return SHOWN
    parts = [f"published {_number(claim, 'published')}"] if pd.notna(claim["published"]) else []
    if not claim["n"]:
        nothing = "no network of this profile stands beside it, or nothing is stored"
        decided = f"; decided by {claim['decided_by']}" if claim["decided_by"] else ""
        return "; ".join([*parts, f"not run: {nothing}{decided}"])
    parts.append(
        f"measured {_number(claim, 'measured')} [{_number(claim, 'low')}, {_number(claim, 'high')}] on "
        f"{claim['measured_network']}, {claim['n']} {claim['unit']} that both have, "
        f"of {claim['n_left']} and {claim['n_right']}"
    )
    if claim["kind"] != "ordering" and claim["parts"] > 1:
        parts.append(f"{claim['comparison']}, the least certain with this verdict of {claim['parts']}")
    if claim["verdict"] == "inconclusive":
        parts.append(_what_would_decide(claim))
    return "; ".join(parts)


def _what_would_decide(claim: pd.Series) -> str:
    if pd.isna(claim["low"]):
        return "one alone, or all the same: too few to tell"
    whole = claim["needed"]
    return f"{whole:.0f} {claim['unit']} would decide it" if pd.notna(whole) else "no number would decide it"


def _number(claim: pd.Series, name: str) -> str:
    metric = claim["comparison"].split(" ")[0]
    digits = METRICS[metric].digits if metric in METRICS else 2
    if pd.isna(claim[name]):
        return "\N{EN DASH}"
    value = claim[name] if abs(claim[name]) >= ROUNDING else 0.0
    text = printed(value, digits, "+")
    return text if float(text) or not value else f"{value:+.1g}"
