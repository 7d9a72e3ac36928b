"""Intervals and p-values of paired differences, against SciPy, closed forms and simulations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from reproduce.claims.intervals import acceleration, over_images, over_seeds, repeats_needed


def test_over_seeds_is_the_paired_t_test():
    one, other = (np.random.default_rng(seed).normal(seed, 1, 10) for seed in (0, 1))
    expected = stats.ttest_rel(one, other)
    found = over_seeds(one - other, margin=0.0)
    low, high = expected.confidence_interval(0.95)
    np.testing.assert_allclose((found.p, found.low, found.high), (expected.pvalue, low, high), rtol=1e-10)


def test_the_acceleration_of_a_mean_is_that_of_its_skewness():
    """For the mean it is skew / (6 sqrt(n)) (Efron and Tibshirani, section 14.3)."""
    values = np.random.default_rng(0).exponential(size=(40, 3))
    expected = stats.skew(values) / (6 * np.sqrt(40))
    np.testing.assert_allclose(acceleration(values), expected, rtol=1e-12)


def test_over_images_is_scipy_s_interval_where_the_sample_is_large():
    """The widening to Student's t vanishes with n; what is left is the BCa interval, to the resampling's error."""
    values = np.random.default_rng(0).exponential(size=2000) - 0.9
    expected = stats.bootstrap(
        (values,), np.mean, n_resamples=9999, method="BCa", random_state=1
    ).confidence_interval
    (found,) = over_images(values[:, None], [0.0])
    width = expected.high - expected.low
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=0.03 * width)


@pytest.mark.parametrize("draw", ["normal", "exponential"])
def test_coverage_and_false_decisions_in_simulations(draw):
    """2,000 samples of 48 pictures: the interval holds the true mean in 93 to 97 %, at most 2.5 % "agree" falsely.

    The share of false ones is bounded by that and two standard errors of what 2,000 samples can tell.
    """
    generator = np.random.default_rng(0)
    samples = getattr(generator, draw)(size=(48, 2000)) - (1.0 if draw == "exponential" else 0.0)
    found = over_images(samples, np.zeros(2000))
    holds = np.mean([one.low <= 0 <= one.high for one in found])
    assert 0.93 <= holds <= 0.97
    agrees = np.mean([one.p < 0.05 and one.mean > 0 for one in found])
    error = 2 * np.sqrt(0.025 * 0.975 / 2000)
    assert agrees <= 0.025 + error


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 60), st.floats(-1.5, 1.5))
def test_the_p_value_is_below_the_level_where_the_interval_leaves_zero_out(seed, n, shift):
    values = np.random.default_rng(seed).gumbel(size=n) - shift
    (found,) = over_images(values[:, None], [0.0])
    if min(abs(found.low), abs(found.high)) > 0.02 * (
        found.high - found.low
    ):  # limits have a resampling's grain
        assert (found.p < 0.05) == (found.low > 0 or found.high < 0)


def test_of_two_repeats_the_interval_is_student_s():
    """All that two can say: a quantile beyond what any resample shows goes on with the resamples' spread."""
    values = np.array([[3.0], [4.0]])
    expected = stats.ttest_1samp(values[:, 0], 0).confidence_interval(0.95)
    (found,) = over_images(values, [0.0])
    grain = 0.03 * (expected.high - expected.low) / 2  # the spread of 9,999 resamples is known to 0.7 %
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=grain)


@pytest.mark.parametrize("hits", range(1, 9))
def test_resampled_means_on_the_boundary_count_as_beyond_it(hits):
    """AI is 0 or 100, so that e^-hits of the resamples have a mean of zero: p and interval still say the same."""
    values = np.zeros((48, 1))
    values[:hits] = 100.0
    (found,) = over_images(values, [0.0])
    assert (found.p < 0.05) == (found.low > 0)


def test_a_boundary_that_is_a_limit_has_the_level_as_p_value():
    """To the grain of 9,999 resamples, also with skew."""
    values = np.random.default_rng(1).exponential(size=(40, 1))
    (found,) = over_images(values, [0.0])
    for limit in (found.low, found.high):
        (moved,) = over_images(values - limit, [0.0])
        assert moved.p == pytest.approx(0.05, abs=0.004)


@pytest.mark.parametrize(("value", "p"), [(2.0, 0.0), (0.0, 1.0)])
def test_seeds_that_all_say_the_same_decide_unless_they_say_the_boundary(value, p):
    assert over_seeds([value] * 3, 0.0).p == p


@pytest.mark.parametrize("n", [2, 3])
def test_too_few_equal_repeats_exclude_nothing(n):
    (found,) = over_images(np.full((n, 1), 100.0), [0.0])
    assert found.p >= 0.05 and np.isnan([found.low, found.high]).all()


def test_a_margin_is_decided_by_the_nearer_of_its_two_boundaries():
    values = np.random.default_rng(0).normal(0.02, 0.1, (400, 1))
    inside, outside = (over_images(values, [margin])[0] for margin in (0.05, 0.001))
    assert inside.p < 0.05 and inside.high < 0.05
    assert outside.p < 0.05 and outside.low > 0.001
    assert over_images(values, [0.02])[0].p > 0.05


@pytest.mark.parametrize("values", [[], [3.0]])
def test_fewer_than_two_repeats_have_no_interval(values):
    for found in (over_images(np.reshape(values, (-1, 1)), [0.0])[0], over_seeds(values, 0.0)):
        assert found.n == len(values) and np.isnan([found.low, found.high, found.p]).all()


def test_nan_is_refused():
    with pytest.raises(ValueError, match="differences"):
        over_images([[np.nan], [1.0]], [0.0])


@pytest.mark.parametrize("ratio", [0.3, 1.0, 4.0])
def test_the_repeats_that_would_decide_have_80_per_cent_power(ratio):
    """Power of the one-sample t test from the noncentral t distribution; one repeat less does not reach it."""

    def power(n: int) -> float:
        return stats.nct.sf(stats.t.ppf(0.975, n - 1), n - 1, np.sqrt(n) / ratio)

    n = repeats_needed(1.0, ratio)
    assert power(n) >= 0.79
    assert n <= 3 or power(n - 2) < 0.8


def test_more_repeats_than_can_be_made_are_none():
    """For many repeats it is ((z of 97.5 % + z of 80 %) sd / distance)^2."""
    normal = ((stats.norm.ppf(0.975) + stats.norm.ppf(0.8)) / 1e-3) ** 2
    assert repeats_needed(1e-3, 1.0) == pytest.approx(normal, rel=1e-5)
    assert repeats_needed(1e-7, 1.0) is None


def test_no_number_decides_where_nothing_differs_or_scatters():
    assert repeats_needed(0.0, 1.0) is None
    assert repeats_needed(1.0, 0.0) is None
