"""Deviations of the published protocol: the stop against hand-made losses, the formulas against known ends."""

import pytest
import torch
from evaluating import evaluate
from pytorch_grad_cam import ScoreCAM as PeerScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from tolerances import assert_close

from dpnet import PartClassifier
from opticam import ScoreCAM
from reproduce.experiments.opticam.deviations import OptiCamDeviations
from reproduce.parts.formula_studies import (
    alignment_after_descent,
    assignment_at,
    mean_cosine,
    weight_after_descent,
)
from reproduce.saliency.course_groups import stopping_iteration
from reproduce.saliency.deviation_groups import ALIGNED, GAIN_OVER_P, OF_PREDICTION


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
    causal = experiment.rows(workspace, [*OF_PREDICTION, *OF_PREDICTION.values()], "Opti-CAM".__eq__)
    wide = causal.pivot(index="image", columns="metric", values="value")
    right = [
        classifier(image[None]).argmax().item() == label
        for image, label in map(workspace.source.load, range(3))
    ]
    for score, name in OF_PREDICTION.items():  # one map and one class where the network is right
        assert wide[score][right].tolist() == pytest.approx(wide[name][right].tolist(), abs=1e-3)
    assert wide[list(OF_PREDICTION.values())].notna().all(axis=None)

    titles = [deviation.title for deviation in experiment.deviations(workspace)]
    effects = {d.title: d.effects for d in experiment.deviations(workspace)}
    assert len(titles) == len(set(titles)) >= 6
    assert len(effects["Denominator of the average gain"]) == 3
    assert len(effects["Upsampling inside Score-CAM"]) == len(ALIGNED)
    assert effects["ReLU on the feature maps of transformers"] == ()  # the tiny network is none
    assert effects["50 or 100 iterations"] == ()  # not run here, and so it has no numbers


def test_score_cam_with_aligned_corners_weighs_as_the_grad_cam_package_does(make_workspace):
    classifier = make_workspace().classifier("tiny").in_float64()
    layer = classifier.network.get_submodule("features.5")
    images = torch.rand(2, 3, 17, 19, generator=torch.Generator().manual_seed(0)).double()
    targets = torch.tensor([1, 2])
    features, weights = ScoreCAM(classifier, align_corners=True).weigh(
        images, lambda logits: logits[:, targets].diagonal()
    )
    with PeerScoreCAM(classifier, [layer]) as peer:
        asked = [ClassifierOutputTarget(label) for label in targets.tolist()]
        expected = peer.get_cam_weights(images, layer, asked, features.detach().numpy(), None)
    assert_close(weights[:, :, 0, 0].float(), torch.as_tensor(expected), 1)  # rounded once, to float32


def test_the_mean_cosine_is_that_of_all_pairs_of_cells():
    features = torch.rand(3, 4, 2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    centre = features.mean(dim=(0, 2, 3))
    for less in (None, centre):
        cells = features.movedim(1, -1).reshape(-1, 4) - (0 if less is None else less)
        cosines = torch.nn.functional.cosine_similarity(cells[:, None], cells[None], dim=-1)
        expected = cosines[~torch.eye(len(cells), dtype=torch.bool)].mean().item()
        assert mean_cosine(features, less) == pytest.approx(expected, rel=1e-9)


def test_the_printed_sum_is_the_mean_times_the_number_of_regions():
    torch.manual_seed(0)
    model, features = PartClassifier(16, 5, 4), torch.rand(3, 16, 4, 4).double()
    mean, total = (assignment_at(model, features, 0.1, reduction)[0] for reduction in ("mean", "sum"))
    assert total == pytest.approx(mean * model.regions(features).shape[1])


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
