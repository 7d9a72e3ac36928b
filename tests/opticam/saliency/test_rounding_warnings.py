"""Which sums over channels are nothing but rounding: of each image by itself, within sqrt(K) eps of what adds up."""

import warnings

import pytest
import torch

from opticam.saliency.base import warn_of_rounding


def told(summands):
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        warn_of_rounding(summands, "told")
    return len(found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_one_image_of_a_batch_is_enough_and_small_sums_are_no_rounding(dtype):
    """16 channels, 8 of 1 and 8 of -1 but for one: their sizes add up to 16, and 4 x 16 eps is the limit."""
    eps = torch.finfo(dtype).eps
    cancelling = torch.cat([torch.ones(1, 8, 2, 2), -torch.ones(1, 8, 2, 2)], 1).to(dtype)
    plain = torch.rand(1, 16, 2, 2).to(dtype)
    assert told(cancelling) == 1 and told(plain) == 0
    assert told(torch.cat([plain, cancelling])) == 1
    for sign in (1, -1):
        for units, expected in ((48, 1), (128, 0)):
            changed = cancelling.clone()
            changed[:, 0] += sign * units * eps
            assert told(changed) == expected
