"""BA from the store is the metric's own, and its interval that of a plain bootstrap."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from opticam.metrics import box_accuracy
from opticam.metrics.box_accuracy import DELTAS, THRESHOLDS
from reproduce.saliency.box_accuracy_interval import box_accuracies, box_accuracy_estimate, unpack_hits
from reproduce.saliency.box_groups import HITS, pack_hits

overlaps = arrays(
    np.float32, st.tuples(st.integers(1, 7), st.just(len(THRESHOLDS))), elements=st.floats(0, 1, width=32)
)


def packed(values: torch.Tensor) -> torch.Tensor:
    return torch.stack([pack_hits(values, delta) for delta in DELTAS], 1)


@settings(max_examples=60)
@given(overlaps)
def test_packed_hits_give_the_metric(values):
    found = torch.from_numpy(values)
    hits = unpack_hits(packed(found).numpy())
    assert hits.shape == (len(values), len(DELTAS), len(THRESHOLDS))
    assert box_accuracy_estimate(hits).mean == pytest.approx(box_accuracy(found), abs=1e-9)


def test_interval_is_that_of_a_plain_bootstrap():
    generator = torch.Generator().manual_seed(3)
    found = torch.rand(61, len(THRESHOLDS), generator=generator)
    estimate = box_accuracy_estimate(unpack_hits(packed(found).numpy()))
    resampled = [box_accuracy(found[torch.randint(61, (61,), generator=generator)]) for _ in range(1000)]
    low, high = np.quantile(resampled, [0.025, 0.975])
    assert estimate.low == pytest.approx(low, abs=1)
    assert estimate.high == pytest.approx(high, abs=1)
    assert estimate.low <= estimate.high
    assert np.isnan(estimate.sd)


def test_images_without_boxes_are_left_out():
    rows = pd.DataFrame(
        [
            ("net", "CAM", image, name, value)
            for image, value in (("a", 1.0), ("b", np.nan), ("c", 2.0 ** len(THRESHOLDS) - 1))
            for name in HITS
        ],
        columns=["network", "method", "image", "metric", "value"],
    )
    (found,) = box_accuracies(rows).to_dict("records")
    assert found["n"] == 2
    assert found["measured"] == 100  # threshold 0 hits both images
    assert found["metric"] == "BA"


def test_one_image_has_no_interval():
    estimate = box_accuracy_estimate(np.ones((1, 3, 20), dtype=bool))
    assert estimate.mean == 100 and np.isnan(estimate.low)
    assert box_accuracy_estimate(np.ones((0, 3, 20), dtype=bool)).n == 0
