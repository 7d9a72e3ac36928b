"""Claims judged on made-up results: each verdict, rows exchanged, families apart, images that both sides have."""

import numpy as np
import pandas as pd
import pytest

from reproduce.claims.judging import Judged, frame, judge
from reproduce.claims.measured import SECONDS, Results
from reproduce.claims.orderings import orderings
from reproduce.claims.verdicts import holm
from reproduce.published.numbers import published

NETWORK, OWN = "resnet50", "sample_resnet"
SIZE = 60
ONE = [one for one in orderings() if (one.table, one.network) == ("opticam_table1", NETWORK)]


def results(names: dict[str, str] | None = None, images: dict[str, int] | None = None) -> Results:
    """Table 1 of one network, drawn around its published means; names: methods that exchange their rows."""
    table = published("opticam_table1").query("network == @NETWORK")
    generator = np.random.default_rng(0)
    rows = []
    for cell in table.itertuples():
        values = cell.value + generator.normal(0, 0.02, SIZE)
        method = (names or {}).get(cell.method, cell.method)
        kept = values[: (images or {}).get(method, SIZE)]
        rows += [
            (NETWORK, OWN, method, f"picture {k:03d}", cell.metric, value) for k, value in enumerate(kept)
        ]
    columns = ["network", "own", "method", "image", "metric", "value"]
    return Results({"opticam_table1": pd.DataFrame(rows, columns=columns)})


def verdicts(given: Results) -> dict[tuple[str, str], str]:
    """By metric and rival, of Table 1's orderings on the network."""
    found = judge(given).orderings
    return {
        (one.comparison.metric, one.comparison.right): one.plain
        for one in found
        if one.comparison.table == "opticam_table1" and one.own == OWN
    }


def test_results_like_the_published_ones_agree_with_every_ordering_that_is_no_tie():
    found = verdicts(results())
    assert len(found) == len(ONE)
    for one in ONE:
        if one.sign and abs(one.published) >= 0.1 - 1e-9:
            assert found[one.metric, one.right] == "agrees", one.words


def test_rows_exchanged_turn_the_verdicts_over():
    swapped = verdicts(results({"Opti-CAM": "Grad-CAM", "Grad-CAM": "Opti-CAM"}))
    for one in ONE:
        if one.right == "Grad-CAM" and one.sign:
            assert swapped[one.metric, "Grad-CAM"] == "contradicts"


def test_two_rows_of_the_same_numbers_decide_nothing():
    table = results().tables["opticam_table1"]
    ours = table[table["method"] == "Opti-CAM"]
    same = pd.concat([ours, ours.assign(method="Grad-CAM")])
    found = verdicts(Results({"opticam_table1": same}))
    signs = {one.metric: one.sign for one in ONE if one.right == "Grad-CAM"}
    assert {metric for metric, sign in signs.items() if sign} >= {"AD", "AG", "AI"}
    for metric, sign in signs.items():
        assert found[metric, "Grad-CAM"] == ("inconclusive" if sign else "agrees")


def test_nothing_stored_is_not_run_and_never_agrees():
    claims = frame(judge(Results({})))
    assert set(claims["verdict"]) == {"not run", "shown, not judged"}
    assert set(claims["adjusted_verdict"]) == {"not run", "shown, not judged"}
    assert (claims["kind"] == "ordering").sum() == len(orderings())


def test_sides_of_unequal_images_are_compared_on_those_that_both_have():
    claims = frame(judge(results(images={"LIME": 0, "Score-CAM": 7})))
    line = claims[(claims["kind"] == "ordering") & claims["claim"].str.endswith("Opti-CAM < Score-CAM")]
    line = line[line["measured_network"] == OWN].iloc[0]
    assert (line["n"], line["n_left"], line["n_right"]) == (7, SIZE, 7)


def noisy(seed: int, only: str = "") -> list[Judged]:
    """Orderings of Table 1 on its published means under noise; only: the one metric that the noise is on."""
    table = results().tables["opticam_table1"]
    noise = np.random.default_rng(seed).normal(0, 30, len(table))
    values = table["value"] + np.where(table["metric"] == (only or table["metric"]), noise, 0)
    found = judge(Results({"opticam_table1": table.assign(value=values)})).orderings
    return [one for one in found if one.own == OWN]


@pytest.mark.parametrize("of_seconds", [False, True])
def test_holm_is_over_the_table_and_over_no_other_with_seconds_apart(of_seconds):
    found = [one for one in noisy(1) if (one.comparison.metric == SECONDS) == of_seconds]
    p = [one.difference.p for one in found]
    adjusted = holm(p)
    assert {one.plain for one in found} >= {"agrees", "inconclusive"}
    for one, own, by_family in zip(found, p, adjusted):
        assert (one.plain == "inconclusive") == (not own < 0.05)
        assert (one.adjusted == "inconclusive") == (not by_family < 0.05)


def test_seconds_of_another_run_move_no_adjusted_verdict_of_other_metrics():
    runs = [noisy(seed, only=SECONDS) for seed in range(8)]
    seconds, others = (
        {tuple(one.adjusted for one in run if (one.comparison.metric == SECONDS) == apart) for run in runs}
        for apart in (True, False)
    )
    assert len(seconds) > 1
    assert len(others) == 1


def seeds(parts: list[float], rival: list[float]) -> Results:
    """The accuracy of Parts and Global on one published cell."""
    rows = [
        ("Birds", NETWORK, OWN, method, f"seed {k}", "accuracy", value)
        for method, values in (("Parts", parts), ("Global", rival))
        for k, value in enumerate(values)
    ]
    columns = ["dataset", "network", "own", "method", "image", "metric", "value"]
    return Results({"dpnet_main": pd.DataFrame(rows, columns=columns)})


@pytest.mark.parametrize(
    ("parts", "rival", "expected"),
    [
        ([52.0, 54.0, 53.0], [50.0, 51.5, 50.4], "agrees"),
        ([50.0, 51.5, 50.4], [52.0, 54.0, 53.0], "contradicts"),
        ([50.0, 58.0, 49.0], [50.0, 50.0, 50.0], "inconclusive"),
        ([53.0], [50.0], "inconclusive"),
        ([53.0, 54.0], [], "not run"),
    ],
)
def test_parts_against_global_is_judged_over_seeds_in_its_own_cell(parts, rival, expected):
    found = [
        one
        for one in judge(seeds(parts, rival)).orderings
        if one.comparison.table == "dpnet_main" and one.comparison.dataset == "Birds" and one.own == OWN
    ]
    assert [one.plain for one in found] == [expected]
