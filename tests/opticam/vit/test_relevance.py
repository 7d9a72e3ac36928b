"""The quotients that relevance rests on, where what divides is next to nothing."""

import pytest
import torch

from opticam.vit.relevance import divide, through_sum


def test_a_denominator_is_at_least_a_billionth_and_zero_gives_zero():
    denominators = torch.tensor([0, 1e-12, -1e-12, 1e-6, -2], dtype=torch.float64)
    expected = torch.tensor([0, 1e9, -1e9, 1e6, -0.5], dtype=torch.float64)
    torch.testing.assert_close(divide(torch.ones(5, dtype=torch.float64), denominators), expected)


def test_terms_that_cancel_carry_no_relevance():
    left = torch.tensor([[1.0, 2.0]], dtype=torch.float64)
    right = torch.tensor([[-1.0, 1.0]], dtype=torch.float64)
    to_left, to_right = through_sum(torch.ones_like(left), left, right)
    assert to_left[0, 0] == to_right[0, 0] == 0
    assert (to_left + to_right).sum() == pytest.approx(2)  # all of the relevance, by eq. (10)
