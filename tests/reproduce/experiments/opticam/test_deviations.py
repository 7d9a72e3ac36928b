"""Deviations of the published protocol: the stop against hand-made losses, the formulas against known ends."""

import re
from dataclasses import replace

import pytest
import torch
from evaluating import evaluate
from pytorch_grad_cam import ScoreCAM as PeerScoreCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from tolerances import assert_close

from dpnet import PartClassifier
from opticam import Classifier, OptiCAM, ScoreCAM
from opticam.metrics import faithfulness
from reproduce.experiments.dpnet.deviations import DpNetDeviations
from reproduce.experiments.opticam.deviations import OptiCamDeviations
from reproduce.experiments.opticam.iterations import rate_label
from reproduce.parts.formula_studies import (
    alignment_after_descent,
    assignment_at,
    mean_cosine,
    weight_after_descent,
)
from reproduce.saliency.course_groups import AFTER, stopping_iteration
from reproduce.saliency.deviation_groups import GAIN_OVER_P, OF_PREDICTION, OTHER_CORNERS
from reproduce.saliency.explained_batch import SCORES
from reproduce.saliency.stored import EXPERIMENT
from reproduce.workspace.store import Row


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
        (torch.zeros(101, 2), 100),  # what stays as it is has not risen
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
    assert len(effects["Upsampling inside Score-CAM"]) == len(OTHER_CORNERS)
    assert effects["ReLU on the feature maps of transformers"] == ()  # the tiny network is none
    assert effects["50 or 100 iterations"] == ()  # not run here, and so it has no numbers
    quantities = [effect.quantity for one in effects.values() for effect in one]
    assert [words for words in quantities if not re.search(r"\b3 images$", words)] == []


def test_accuracy_and_iterations_say_how_many_images_they_rest_on(make_workspace):
    workspace = make_workspace(count=5)
    saliency = replace(workspace.profile.saliency, networks={"tiny": "vit_b_16"})
    workspace.profile = replace(workspace.profile, saliency=saliency)
    keys = "test", EXPERIMENT, "tiny"
    rows = [Row(*keys, "Network", f"picture{k}", "accuracy", 100.0 * (k > 0)) for k in range(4)]
    for count, images in ((50, 3), (100, 2)):
        rows += [
            Row(*keys, rate_label(0.1), f"picture{k}", AFTER["AG", count], float(count + k))
            for k in range(images)
        ]
    workspace.store.write(rows)
    effects = {d.title: d.effects for d in OptiCamDeviations().deviations(workspace)}
    (accuracy,), (gain,) = effects["Checkpoint of ViT-B"], effects["50 or 100 iterations"]
    assert (accuracy.quantity, accuracy.other) == ("accuracy of tiny, 4 images", 75)
    assert (gain.quantity, gain.one, gain.other) == ("AG of Opti-CAM on tiny, 2 images", 50.5, 100.5)


@pytest.mark.parametrize("theirs", [False, True])
def test_the_other_form_is_the_opposite_of_the_profile_s(make_workspace, theirs):
    """The number beside the profile's own is that of a direct call with the option turned round."""
    workspace = make_workspace(count=3)
    options = {"Score-CAM": {"align_corners": theirs}, "Opti-CAM": {"relu_features": theirs, "iterations": 4}}
    networks = {"tiny": "vit_b_16"}
    network = workspace.classifier("tiny").network
    for parameter in network.parameters():  # so that small steps of a map show
        parameter.data.mul_(3)
    classifier = Classifier(network, "features.4", mean=(0.5,) * 3, std=(0.2,) * 3)  # with negative values
    workspace.classifier = lambda network, normalised=True: classifier
    saliency = replace(workspace.profile.saliency, networks=networks, options=options)
    workspace.profile = replace(workspace.profile, saliency=saliency)
    experiment = OptiCamDeviations()
    evaluate(workspace, experiment.requests(workspace))
    images, labels = zip(*map(workspace.source.load, range(3)))
    images, labels = torch.stack(images), torch.tensor(labels)
    found = {deviation.title: deviation for deviation in experiment.deviations(workspace)}
    for title, here, other, names in (
        (
            "Upsampling inside Score-CAM",
            *(ScoreCAM(classifier, align_corners=which) for which in (theirs, not theirs)),
            {False: "not aligned", True: "aligned"},
        ),
        (
            "ReLU on the feature maps of transformers",
            *(OptiCAM(classifier, iterations=4, relu_features=which) for which in (theirs, not theirs)),
            {False: "kept", True: "cut"},
        ),
    ):
        deviation = found[title]
        assert len(deviation.effects) == 3
        for score, effect in zip(SCORES, deviation.effects):
            assert effect.quantity.startswith(f"{score} of ")
            for number, method in ((effect.one, other), (effect.other, here)):
                scores = faithfulness(classifier, images, method(images, labels), labels)
                assert number == pytest.approx(scores[score].double().mean().item(), rel=1e-4, abs=1e-4)
        assert any(effect.one != pytest.approx(effect.other, abs=1e-3) for effect in deviation.effects)
        assert names[not theirs] in deviation.ways[0] and "here" not in deviation.ways[0]
        assert deviation.ways[1].startswith(f"here: {names[theirs]}")
        assert f"{names[theirs]}" in deviation.here and f"first column: {names[not theirs]}" in deviation.here


def test_the_checkpoint_told_of_is_the_profile_s(make_workspace):
    workspace = make_workspace(count=3)
    for networks, words in (
        ({"timm_vit.some_checkpoint": "vit_b_16"}, "timm_vit.some_checkpoint; "),
        ({"tiny": "resnet50"}, "none in this profile; "),
    ):
        saliency = replace(workspace.profile.saliency, networks=networks)
        workspace.profile = replace(workspace.profile, saliency=saliency)
        found = {deviation.title: deviation for deviation in OptiCamDeviations().deviations(workspace)}
        assert found["Checkpoint of ViT-B"].here.startswith(words)
        assert found["Size of the pictures"].effects == ()


@pytest.mark.parametrize(
    ("tolerance", "words"), [(1.0, "at most 1 point of"), (1.5, "at most 1.5 points of")]
)
def test_what_constraints_may_cost_is_the_profile_s_number(make_parts_workspace, tolerance, words):
    workspace = make_parts_workspace(constraint_tolerance=tolerance)
    assert words in DpNetDeviations().deviations(workspace)[-1].here


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
