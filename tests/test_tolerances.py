"""The tolerance is wide enough for any order of summation and narrow enough to see a wrong term."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tolerances import assert_as_accurate, assert_close, rounding

SEEDS = st.integers(0, 2**31)


def products(seed, length, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(16, length, generator=generator).to(dtype), torch.randn(
        16, length, generator=generator
    ).to(dtype)


@given(SEEDS, st.integers(1, 3000))
def test_every_order_of_a_sum_is_accepted(seed, length):
    terms = torch.mul(*products(seed, length))
    exact = terms.double().sum(1)
    one_by_one = terms.cumsum(1)[:, -1]
    backwards = terms.flip(1).cumsum(1)[:, -1]
    pairwise = terms.sum(1)
    # The walk's steps are roundings of partial sums, so these are what may be compared with the largest.
    reach = terms.double().cumsum(1).abs().amax(1)
    for ours in (one_by_one, backwards, pairwise):
        assert ((ours.double() - exact).abs() <= rounding(reach, length)).all()


@given(SEEDS, st.integers(2, 3000), st.sampled_from([torch.float32, torch.bfloat16, torch.float16]))
def test_a_missing_term_is_seen(seed, length, dtype):
    first, second = products(seed, length, dtype)
    first[:, 0], second[:, 0] = 1, 0.5 + second.float().abs().sum(1).to(dtype)
    exact = (first.double() * second.double()).sum(1)
    eager = (first.float() * second.float()).sum(1)
    short = (first.float() * second.float())[:, 1:].sum(1)
    assert_as_accurate(eager, eager, exact, length)
    with pytest.raises(AssertionError, match="allowed"):
        assert_as_accurate(short, eager, exact, length)


def test_the_width_follows_from_dtype_length_and_largest_entry():
    exact = torch.tensor([3.0, -5.0, float("nan")], dtype=torch.float64)
    eps = torch.finfo(torch.float32).eps
    assert rounding(exact, 49) == pytest.approx(2 * eps * 5 * 7)
    assert rounding(exact, 49, torch.bfloat16) == rounding(exact, 49)
    assert rounding(exact, 49, torch.float64) == pytest.approx(2 * torch.finfo(torch.float64).eps * 5 * 7)
    assert_close(torch.tensor([5.0]), torch.tensor([5.0 + 20 * eps]), 49)
    with pytest.raises(AssertionError):
        assert_close(torch.tensor([5.0]), torch.tensor([5.001]), 49)
