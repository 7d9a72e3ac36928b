"""Deviations of the published protocol: the stop against hand-made losses, the formulas against known ends."""

import pytest
import torch

from dpnet import PartClassifier
from reproduce.experiments.opticam.deviations import OptiCamDeviations
from reproduce.parts.formula_studies import alignment_after_descent, assignment_at, weight_after_descent
from reproduce.saliency.deviation_groups import GAIN_OVER_P, stopping_iteration
from reproduce.saliency.evaluation import evaluate


def rising(count, fall_at=None):
    """F [count + 1, 2] that rises by 1 an iteration, and falls by 100 from one on."""
    values = torch.arange(count + 1.0)
    if fall_at is not None:
        values[fall_at:] -= 100
    return values[:, None].expand(-1, 2)


@pytest.mark.parametrize(
    ("objectives", "expected"),
    [
        (rising(100), 100),
        (rising(100, fall_at=35), 40),  # seen at the next look
        (rising(100, fall_at=40), 40),
        (rising(100, fall_at=91), 100),  # after the last look
        (rising(50, fall_at=12), 15),
        (rising(4, fall_at=2), 2),
    ],
)
def test_the_authors_stop(objectives, expected):
    assert stopping_iteration(objectives) == expected


def test_the_stop_looks_at_the_sum_over_the_batch():
    falling = torch.stack([torch.arange(101.0), -2 * torch.arange(101.0)], 1)
    assert stopping_iteration(falling) == 10
    assert stopping_iteration(falling[:, :1]) == 100


def test_gain_over_p_follows_from_the_gain_and_the_probability(make_workspace):
    """AG = 100 (o - p) / (1 - p), so that AG over p is AG (1 - p) / p, image by image."""
    workspace, experiment = make_workspace(count=3), OptiCamDeviations()
    evaluate(workspace, experiment.requests(workspace))
    rows = experiment.rows(workspace, ("AG", GAIN_OVER_P), "Opti-CAM".__eq__)
    found = rows.pivot(index="image", columns="metric", values="value")
    assert len(found) == 3
    classifier = workspace.classifier("tiny")
    for index, name in enumerate(workspace.source.names):
        image, label = workspace.source.load(index)
        p = classifier(image[None]).softmax(1)[0, label].item()
        assert found.loc[name, GAIN_OVER_P] == pytest.approx(found.loc[name, "AG"] * (1 - p) / p, rel=1e-3)
    titles = [deviation.title for deviation in experiment.deviations(workspace)]
    effects = {d.title: d.effects for d in experiment.deviations(workspace)}
    assert len(titles) == len(set(titles)) >= 6
    assert len(effects["Denominator of the average gain"]) == 3
    assert effects["50 or 100 iterations"] == ()  # not run here, and so it has no numbers


def test_the_printed_sign_aligns_parts_and_the_other_makes_them_orthogonal():
    parts = torch.randn(6, 16, generator=torch.Generator().manual_seed(0))
    assert alignment_after_descent(parts, -1.0) > 0.95
    assert alignment_after_descent(parts, 1.0) < 0.05


def test_without_a_temperature_the_assignment_is_undecided():
    torch.manual_seed(0)
    model = PartClassifier(16, 5, 4)
    features = torch.rand(3, 16, 4, 4)
    plain, sharp = (assignment_at(model, features, temperature) for temperature in (1.0, 0.05))
    wide = assignment_at(
        model, features.double(), 0.05
    )  # a model kept in float32, features of a float64 profile
    assert wide == pytest.approx(sharp, rel=1e-3)
    assert plain[0] > 0.95 > sharp[0] > 0
    assert sharp[1] > plain[1]


def test_the_signed_mean_falls_without_end_and_the_absolute_one_to_zero():
    weight = torch.randn(3, 6, generator=torch.Generator().manual_seed(0)) / 10
    assert weight_after_descent(weight, 2, "signed") < -5
    assert abs(weight_after_descent(weight, 2, "abs")) < 0.05
