"""The rule on hand-made differences of each outcome, and Holm's adjustment against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproduce.claims.comparison import Comparison
from reproduce.claims.intervals import Difference, over_images, repeats_needed
from reproduce.claims.verdicts import all_of, holm, needed, verdict


def comparison(sign: int, margin: float = 0.0) -> Comparison:
    return Comparison("opticam_table1", "ImageNet", "resnet50", "AD", "A", "B", sign, margin=margin)


SAMPLES = np.random.default_rng(0).normal(0, 1, 48)
ABOVE, BELOW, AROUND = (over_images((SAMPLES + shift)[:, None], [0.0])[0] for shift in (1, -1, 0.05))
NOTHING = Difference(np.nan, np.nan, 0, np.nan, np.nan, np.nan)


@pytest.mark.parametrize(
    ("sign", "found", "expected"),
    [
        (1, ABOVE, "agrees"),
        (1, BELOW, "contradicts"),
        (-1, BELOW, "agrees"),
        (-1, ABOVE, "contradicts"),
        (1, AROUND, "inconclusive"),
        (-1, AROUND, "inconclusive"),
        (1, NOTHING, "not run"),
        (1, Difference(5.0, np.nan, 1, np.nan, np.nan, np.nan), "inconclusive"),
    ],
)
def test_the_side_of_zero_that_the_interval_lies_on_decides(sign, found, expected):
    assert verdict(comparison(sign), found) == expected


@pytest.mark.parametrize(
    ("spread", "mean", "expected"),
    [(0.01, 0.0, "agrees"), (0.01, 0.2, "contradicts"), (1.0, 0.0, "inconclusive")],
)
def test_a_published_tie_is_judged_by_half_its_last_digit(spread, mean, expected):
    centred = (SAMPLES - SAMPLES.mean()) * spread + mean
    (found,) = over_images(centred[:, None], [0.05])
    assert verdict(comparison(0, margin=0.05), found) == expected


def test_an_adjusted_p_value_decides_in_place_of_the_difference_s_own():
    assert verdict(comparison(1), ABOVE, 0.2) == "inconclusive"


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        (["agrees", "agrees"], "agrees"),
        (["agrees", "inconclusive"], "inconclusive"),
        (["inconclusive", "not run"], "not run"),
        (["not run", "contradicts", "agrees"], "contradicts"),
        ([], "not run"),
    ],
)
def test_one_contradiction_contradicts_and_only_all_agree(parts, expected):
    assert all_of(parts) == expected


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_its_definition(values):
    """The largest over the smaller ones of (number of those not smaller) times p, and at most 1."""
    ranked = sorted(range(len(values)), key=lambda place: values[place])
    expected = np.empty(len(values))
    for rank, place in enumerate(ranked):
        expected[place] = min(1.0, max((len(values) - k) * values[ranked[k]] for k in range(rank + 1)))
    np.testing.assert_allclose(holm(values), expected, rtol=1e-12)


def test_holm_leaves_out_what_has_no_p_value():
    np.testing.assert_allclose(holm([0.01, np.nan, 0.03]), [0.02, np.nan, 0.03])


def test_p_exactly_at_the_level_decides_nothing():
    assert verdict(comparison(1), ABOVE, 1 - 0.95) == "inconclusive"


def test_what_would_decide_an_inconclusive_claim_is_more_than_there_is():
    assert needed(comparison(1), AROUND) > 48


def test_what_would_decide_a_tie_is_counted_to_its_nearer_boundary():
    found = Difference(0.2, 1.0, 10, -1.0, 1.0, 0.5)
    assert needed(comparison(0, margin=0.5), found) == repeats_needed(0.3, 1.0)
