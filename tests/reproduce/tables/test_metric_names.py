"""Which end of a metric is good, where the field or the constraints' purpose fixes it."""

import pytest
import torch

from dpnet.model.evaluation import interpretability
from dpnet.model.part_layer import PartClassifier
from reproduce.tables.metric_names import METRICS


@pytest.mark.parametrize(
    ("better", "names"),
    [
        ("down", "AD deletion MS OM LE SM SSIM seconds_per_batch8 distance"),
        ("up", "AG AI insertion AOPC ADCC F1 BA SP EP accuracy delta purity hit"),
    ],
)
def test_the_good_end_is_the_one_that_the_field_prints(better, names):
    """Arrows of Opti-CAM's Tables 1, 3, 4 and A.7.

    Of others by definition: ADCC is a mean of three shares (Poppi et al., 2021; the arrow of Table 4 is a slip), SSIM
    compares with a randomised network's maps (Adebayo et al., 2018), distance is an error.
    """
    assert [METRICS[name].better for name in names.split()] == [better] * len(names.split())


def part_model(parts: torch.Tensor, weight: torch.Tensor) -> PartClassifier:
    model = PartClassifier(4, 2, parts_per_class=2)
    with torch.no_grad():
        model.parts.copy_(parts)
        model.classifier.weight.copy_(weight)
    return model


def test_the_good_end_of_what_constraints_change_is_theirs():
    """Four orthonormal parts that are each found in one region and serve one class, against four of one direction."""
    own = torch.tensor([[1.0, 1, 0, 0], [0, 0, 1, 1]])
    good, collapsed = part_model(torch.eye(4), own), part_model(torch.ones(4, 4), torch.ones(2, 4))
    features, labels = torch.eye(4).reshape(1, 4, 2, 2).repeat(2, 1, 1, 1), torch.tensor([0, 1])
    best, worst = (interpretability(model, features, labels) for model in (good, collapsed))
    names = [name for name in best if name in METRICS]
    assert len(names) == 6
    for name in names:
        assert METRICS[name].better == ("up" if best[name] > worst[name] else "down"), name
