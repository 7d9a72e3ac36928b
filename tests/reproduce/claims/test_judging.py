"""Claims judged on made-up results: each verdict, rows exchanged, families apart, images that both sides have."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

from opticam.metrics import box_accuracy
from opticam.metrics.box_accuracy import DELTAS, THRESHOLDS
from reproduce.claims.assertions import assertions
from reproduce.claims.comparison import Comparison
from reproduce.claims.intervals import Difference, over_images
from reproduce.claims.judging import Claims, Judged, JudgedAssertion, frame, judge
from reproduce.claims.measured import Results, box_accuracy_difference, differences
from reproduce.claims.orderings import orderings
from reproduce.claims.verdicts import holm, verdict
from reproduce.published.numbers import published
from reproduce.saliency.box_groups import pack_hits
from reproduce.tables.metric_names import SECONDS

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


def test_a_claim_on_two_tables_is_one_line_a_network_where_only_one_of_them_ran():
    """`gradient-shap` rests on Tables 1 and 3 of both networks."""
    claims = frame(judge(results()))
    lines = claims[claims["id"] == "gradient-shap"]
    assert dict(zip(lines["network"], lines["measured_network"])) == {NETWORK: OWN, "vgg16": ""}
    assert len(lines) == 2 and (lines["parts"].astype(int) == 5).all()


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
    runs = [noisy(seed, only=SECONDS) for seed in range(3)]
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


@pytest.mark.parametrize("table", ["dpnet_main", "a table that no list names"])
def test_whatever_table_has_seeds_is_judged_by_student_s_t_over_them(table):
    """Never bootstrapped, as images are; peer: scipy's paired t test."""
    sides = [52.0, 54.0, 53.0, 52.5], [50.0, 53.5, 50.4, 51.0]
    rows = seeds(*sides).tables["dpnet_main"]
    comparison = Comparison(table, "Birds", NETWORK, "accuracy", "Parts", "Global", 1)
    pair = Results({table: rows}).pair(comparison, OWN)
    (found,) = differences([pair])
    peer = stats.ttest_rel(*sides)
    assert pair.unit == "seeds"
    assert found.p == pytest.approx(peer.pvalue, rel=1e-12)
    assert (found.low, found.high) == pytest.approx(peer.confidence_interval(), rel=1e-12)
    pictures = Results({table: rows.assign(image=rows["image"].str.replace("seed", "picture"))})
    assert pictures.pair(comparison, OWN).unit == "images"


def cell(values: np.ndarray, method: str, own: str = OWN, metric: str = "AD") -> pd.DataFrame:
    """One method on one network, an image each value."""
    names = [f"picture {k:03d}" for k in range(len(values))]
    place = {"network": NETWORK, "own": own, "method": method, "metric": metric}
    return pd.DataFrame({"image": names, "value": values}).assign(**place)


def around(mean: float, seed: int = 0, size: int = SIZE) -> np.ndarray:
    return mean + np.random.default_rng(seed).normal(0, 0.005, size)


LESS = Comparison("one", "", NETWORK, "AD", "Opti-CAM", "Grad-CAM", -1)


def judged(comparison: Comparison, tables: dict[str, list[pd.DataFrame]], own: str = OWN) -> tuple[str, int]:
    """Verdict and number of repeats."""
    pair = Results({name: pd.concat(cells) for name, cells in tables.items()}).pair(comparison, own)
    (found,) = differences([pair])
    return verdict(comparison, found), found.n


@pytest.mark.parametrize(
    ("changes", "left", "right", "expected"),
    [
        ({"factor": 0.1}, 0.09, 1.0, "agrees"),
        ({"factor": 0.1}, 0.11, 1.0, "contradicts"),
        ({"sign": 1, "offset": -0.6}, 5.0, 5.5, "agrees"),
        ({"sign": 1, "offset": -0.6}, 5.0, 5.7, "contradicts"),
        ({"right": "", "offset": 5.0}, 4.9, 0.0, "agrees"),
        ({"right": "", "offset": 5.0}, 5.1, 0.0, "contradicts"),
    ],
)
def test_a_share_a_shift_and_a_number_are_judged_as_they_are_written(changes, left, right, expected):
    cells = [cell(around(left), "Opti-CAM"), cell(around(right, 1), "Grad-CAM")]
    assert judged(replace(LESS, **changes), {"one": cells}) == (expected, SIZE)


def test_a_network_on_raw_pixels_stands_beside_the_same_network_of_another_table():
    """Beside that on normalised ones where the other table has no such label."""
    raw = f"{OWN} [no normalisation]"
    same = replace(LESS, right="Opti-CAM", right_table="other")
    here = [cell(around(5.0), "Opti-CAM", raw)]
    plain, other = cell(around(5.1, 1), "Opti-CAM"), cell(around(4.9, 2), "Opti-CAM", raw)
    assert judged(same, {"one": here, "other": [plain]}, raw) == ("agrees", SIZE)
    assert judged(same, {"one": here, "other": [plain, other]}, raw) == ("contradicts", SIZE)
    assert judged(same, {"one": here, "other": [plain.assign(own="another")]}, raw) == ("not run", 0)


def test_the_seconds_of_a_batch_are_one_repeat():
    """48 images in batches of 8; two batches that one method is equally fast on are two repeats."""
    ours, theirs = around(1.0, size=6), around(1.1, 1, size=6)
    ours[1] = ours[0]
    cells = [
        cell(np.repeat(values, 8), method, metric=SECONDS)
        for values, method in ((ours, "Opti-CAM"), (theirs, "Grad-CAM"))
    ]
    assert judged(replace(LESS, metric=SECONDS), {"one": cells}) == ("agrees", 6)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_an_image_without_a_finite_value_on_one_side_is_left_out(value):
    ours, theirs = around(5.0), around(5.1, 1)
    ours[3] = value
    cells = [cell(ours, "Opti-CAM"), cell(theirs, "Grad-CAM")]
    assert judged(LESS, {"one": cells}) == ("agrees", SIZE - 1)


def packed(overlaps: torch.Tensor) -> np.ndarray:
    return torch.stack([pack_hits(overlaps, delta) for delta in DELTAS], 1).numpy()


def test_a_difference_of_box_accuracies_is_that_of_the_metric_with_a_plain_bootstrap_s_interval():
    """SciPy's is not widened to Student's t, which with 128 images makes a fiftieth; steps are a thirtieth."""
    generator = torch.Generator().manual_seed(3)
    left, right = (scale * torch.rand(128, len(THRESHOLDS), generator=generator) for scale in (1, 0.8))

    def difference(rows: np.ndarray) -> float:
        return box_accuracy(left[rows]) - box_accuracy(right[rows])

    found = box_accuracy_difference(packed(left), packed(right), 0.0)
    assert found.mean == pytest.approx(difference(np.arange(128)), abs=1e-9) and found.n == 128
    expected = stats.bootstrap(
        (np.arange(128),), difference, vectorized=False, n_resamples=999, method="BCa", random_state=1
    ).confidence_interval
    width = expected.high - expected.low
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.1 * width)


@pytest.mark.parametrize("margin", [0.0, 0.5, 20.0])
def test_a_difference_of_box_accuracies_that_are_means_is_that_of_means(margin):
    """So they are where a map fits at every threshold and overlap or at none; 64 keep ties exact."""
    fits = torch.zeros(2, 64, len(THRESHOLDS))
    fits[0, :9], fits[1, 9:11] = 1, 1
    found = box_accuracy_difference(*(packed(side) for side in fits), margin)
    hit = 100 * fits[..., 0].double().numpy()
    (expected,) = over_images((hit[0] - hit[1])[:, None], [margin])
    assert found.mean == pytest.approx(expected.mean)
    assert (found.low, found.high, found.p) == pytest.approx((expected.low, expected.high, expected.p))
    assert found.high - found.mean != pytest.approx(found.mean - found.low, rel=0.01)


def test_one_image_has_a_difference_of_box_accuracies_and_no_interval():
    fits = packed(torch.ones(1, len(THRESHOLDS))), packed(torch.zeros(1, len(THRESHOLDS)))
    found = box_accuracy_difference(*fits, 0.0)
    assert (found.mean, found.n) == (100.0, 1) and np.isnan([found.low, found.high, found.p]).all()
    assert np.isnan(box_accuracy_difference(*(side[:0] for side in fits), 0.0).mean)


@pytest.mark.parametrize("certainties", [(0.01, 0.04), (0.04, 0.01)])
def test_an_assertion_s_line_is_its_least_certain_comparison_of_the_same_verdict(certainties):
    parts = [
        Judged(LESS, OWN, Difference(-p, 1.0, SIZE, -1.0, 1.0, p), SIZE, SIZE, "images", plain, plain)
        for p, plain in [*((p, "agrees") for p in certainties), (0.3, "inconclusive")]
    ]
    (agreeing, undecided) = (
        JudgedAssertion(assertions()[0], "", NETWORK, OWN, tuple(given)) for given in (parts[:2], parts)
    )
    lines = frame(Claims((), (agreeing, undecided), ()))
    assert list(lines["measured"]) == [-0.04, -0.3]
    assert list(lines["verdict"]) == ["agrees", "inconclusive"]
