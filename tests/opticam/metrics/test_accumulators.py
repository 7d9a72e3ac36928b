import doctest
import math

import pytest
import torch

from opticam.metrics import ScoreMean, accumulators


def test_mean_and_number_over_uneven_batches():
    values = torch.randn(23, dtype=torch.float64)
    scores = ScoreMean()
    for batch in values.split(7):
        scores.update({"AD": batch, "twice": 2 * batch})
    assert scores.summary()["AD"].n == 23
    assert scores.summary()["AD"].mean == pytest.approx(values.mean().item())
    assert scores.summary()["twice"].mean == pytest.approx(2 * values.mean().item())


def test_undefined_images_do_not_count():
    scores = ScoreMean()
    scores.update({"hog": torch.tensor([math.nan, 1.0, 3.0]), "ssim": torch.tensor([math.nan])})
    assert scores.summary()["hog"] == (2.0, 2)
    assert math.isnan(scores.summary()["ssim"].mean) and scores.summary()["ssim"].n == 0


def test_merge_and_reset():
    first, second = ScoreMean(), ScoreMean()
    first.update({"AD": torch.tensor([1.0])})
    second.update({"AD": torch.tensor([2.0, 6.0]), "AG": torch.tensor([5.0])})
    first.merge(second)
    assert first.summary() == {"AD": (3.0, 3), "AG": (5.0, 1)}
    first.reset()
    assert first.summary() == {}


def test_a_tensor_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"scores\['AD'\] must have shape \[B\]"):
        ScoreMean().update({"AD": torch.rand(2, 2)})


def test_the_docstring_example_holds():
    assert doctest.testmod(accumulators, extraglobs={"torch": torch}).failed == 0
