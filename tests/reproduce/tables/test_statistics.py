from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reproduce.tables.statistics import (
    RESAMPLES,
    Estimate,
    _multiplicities,
    bootstrap,
    cell_verdict,
    over_seeds,
)

NAN = math.nan


def sample(n, k=3, seed=5):
    generator = np.random.default_rng(seed)
    return np.column_stack(
        [generator.normal(3, 2, n), generator.exponential(5, n), generator.random(n) < 0.3]
    )[:, :k]


def test_mean_sd_and_n_are_numpy_s():
    values = sample(101)
    for column, estimate in zip(values.T, bootstrap(values)):
        assert estimate.n == 101
        assert estimate.mean == pytest.approx(column.mean(), rel=1e-14)
        assert estimate.sd == pytest.approx(column.std(ddof=1), rel=1e-14)


def test_interval_agrees_with_the_normal_closed_form():
    """The mean of 4,001 values is close to normal: low, high = mean -+ 1.96 sd / sqrt(n)."""
    values = sample(4001)
    for estimate in bootstrap(values):
        error = estimate.sd / math.sqrt(estimate.n)
        expected = stats.norm.interval(0.95, estimate.mean, error)
        # The 2.5 % quantile of 2,000 resamples scatters by about 0.06 standard errors.
        assert np.allclose([estimate.low, estimate.high], expected, atol=0.24 * error, rtol=0)


def test_interval_agrees_with_scipy_s_percentile_bootstrap():
    values = sample(63, k=2)
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=RESAMPLES, random_state=11, axis=0
    ).confidence_interval
    for column, estimate in enumerate(bootstrap(values)):
        # Two quantiles of 2,000 resamples differ by about 0.08 standard errors.
        atol = 0.32 * estimate.sd / math.sqrt(63)
        assert estimate.low == pytest.approx(theirs.low[column], abs=atol)
        assert estimate.high == pytest.approx(theirs.high[column], abs=atol)


@pytest.mark.parametrize("n", [2, 10])
def test_interval_of_zeros_and_ones_is_the_exact_distribution(n):
    """Sums of n draws from as many zeros as ones are binomial."""
    estimate = bootstrap([0.0, 1.0] * (n // 2))[0]
    expected = stats.binom(n, 0.5).ppf([0.025, 0.975]) / n
    assert (estimate.low, estimate.high) == pytest.approx(tuple(expected), rel=1e-14)


def test_interval_covers_the_true_mean_about_95_times_in_100():
    generator = np.random.default_rng(3)
    values = generator.exponential(2.0, (80, 400))
    covered = sum(estimate.low <= 2.0 <= estimate.high for estimate in bootstrap(values))
    assert 0.90 < covered / 400 < 0.98


def test_the_same_values_have_the_same_interval_in_every_process():
    values = sample(57)
    first = bootstrap(values)
    _multiplicities.cache_clear()
    assert bootstrap(values) == first


def test_a_column_does_not_depend_on_its_neighbours():
    values = sample(57)
    together = bootstrap(values)
    assert [bootstrap(values[:, k])[0] for k in range(3)] == together


def test_undefined_values_are_left_out_of_their_column_only():
    values = sample(200, k=2)
    values[::2, 0] = NAN
    holed, whole = bootstrap(values)
    alone = bootstrap(values[1::2, 0])[0]
    assert (holed.n, holed.mean, holed.sd) == (alone.n, alone.mean, alone.sd)
    assert holed.low == pytest.approx(alone.low, abs=0.3 * alone.sd / 10)
    assert holed.high == pytest.approx(alone.high, abs=0.3 * alone.sd / 10)
    assert whole == bootstrap(values[:, 1])[0]


def test_too_few_values_have_no_interval():
    empty, one, gone = bootstrap([])[0], bootstrap([7.0])[0], bootstrap([NAN, NAN, NAN])[0]
    assert one[0] == 7.0 and one.n == 1
    assert empty.n == gone.n == 0
    for estimate in (empty, one, gone):
        assert all(math.isnan(value) for value in (estimate.sd, estimate.low, estimate.high))
    assert math.isnan(empty.mean) and math.isnan(gone.mean)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=40))
def test_interval_lies_within_the_values_and_follows_a_shift(values):
    estimate = bootstrap(values)[0]
    assert min(values) - 1e-9 <= estimate.low <= estimate.high <= max(values) + 1e-9
    moved = bootstrap(np.asarray(values) + 10)[0]
    assert moved.low == pytest.approx(estimate.low + 10, abs=1e-9)
    assert moved.high == pytest.approx(estimate.high + 10, abs=1e-9)


def test_over_seeds_is_scipy_s_t_interval():
    values = [79.7, 80.3, 79.1, 80.5, 78.8]
    estimate = over_seeds(values)
    result = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (estimate.low, estimate.high) == pytest.approx((result.low, result.high), rel=1e-12)
    assert (estimate.mean, estimate.sd) == pytest.approx((np.mean(values), np.std(values, ddof=1)), rel=1e-14)
    assert over_seeds([80.0])[:3:2] == (80.0, 1)
    assert math.isnan(over_seeds([80.0]).low)


ESTIMATE = Estimate(mean=12.0, sd=1.0, n=300, low=11.5, high=12.5)


@pytest.mark.parametrize(
    ("published", "tolerance", "comparable", "expected"),
    [
        (12.2, 0.0, True, "reproduced"),
        (12.5, 0.0, True, "reproduced"),
        (12.6, 0.0, True, "differs"),
        (12.8, 0.3, True, "reproduced"),
        (12.81, 0.3, True, "differs"),
        (11.2, 0.3, True, "reproduced"),
        (11.19, 0.3, True, "differs"),
        (12.0, 0.3, False, "not comparable"),
        (12.0, NAN, True, "not comparable"),
        (12.0, None, True, "not comparable"),
        (NAN, 0.3, True, "not comparable"),
    ],
)
def test_verdict_at_its_borders(published, tolerance, comparable, expected):
    assert cell_verdict(published, ESTIMATE, tolerance, comparable) == expected


def test_a_decimal_border_belongs_to_the_interval():
    assert 2.3 + 0.3 < 2.6  # in binary
    assert cell_verdict(2.6, Estimate(2.0, 1.0, 9, 1.7, 2.3), 0.3) == "reproduced"


def test_nothing_measured_is_never_a_success():
    for comparable in (True, False):
        assert cell_verdict(12.0, None, 100.0, comparable) == "not run"
        assert cell_verdict(12.0, Estimate(NAN, NAN, 0, NAN, NAN), 100.0, comparable) == "not run"


def test_a_single_value_is_compared_by_the_tolerance_alone():
    single = Estimate(12.0, NAN, 1, NAN, NAN)
    assert cell_verdict(12.1, single, 0.1) == "reproduced"
    assert cell_verdict(12.2, single, 0.1) == "differs"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: bootstrap(np.zeros((2, 2, 2))), "values has shape"),
        (lambda: over_seeds([[1.0, 2.0]]), "values has shape"),
        (lambda: cell_verdict(1.0, ESTIMATE, -0.1), "tolerance -0.1 given"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
