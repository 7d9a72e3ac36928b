import numpy as np
import pytest
import torch
from torch import nn

from dpnet.data.geometry import to_pixels
from dpnet.explain.explanation import participation_map
from dpnet.explain.image_network import ParticipationMap, as_classifier
from dpnet.model.part_layer import GlobalClassifier, PartClassifier
from opticam import Classifier, GradCAM, OptiCAM
from opticam.metrics import deletion, faithfulness, insertion
from opticam.sample.architectures import build_sample_network


@pytest.fixture
def backbone():
    torch.manual_seed(0)
    trunk = nn.Sequential(nn.Conv2d(3, 8, 3, stride=4), nn.ReLU(inplace=True))
    network = nn.Sequential(trunk, nn.AdaptiveAvgPool2d(1), nn.Flatten()).double()
    return Classifier(network, "0", mean=(0.5, 0.3, 0.4), std=(0.2, 0.4, 0.3))


@pytest.fixture
def images():
    return torch.rand(4, 3, 30, 41, generator=torch.Generator().manual_seed(1)).double()


def test_the_whole_network_gives_the_logits_of_its_two_halves(backbone, images):
    parts, baseline = PartClassifier(8, 3, 2).double(), GlobalClassifier(8, 3).double()
    features = backbone.features(images)
    torch.testing.assert_close(as_classifier(backbone, parts)(images), parts(features).logits)
    torch.testing.assert_close(as_classifier(backbone, baseline)(images), baseline(features))


def test_gradients_at_the_target_layer_are_those_of_the_part_layer(backbone, images):
    model = PartClassifier(8, 3, 2).double()
    classifier = as_classifier(backbone, model)
    maps, gradients, _ = classifier.gradients(images, lambda logits: logits[:, 1])
    leaf = backbone.features(images).requires_grad_()
    (expected,) = torch.autograd.grad(model(leaf).logits[:, 1].sum(), leaf)
    torch.testing.assert_close(maps, leaf.detach())
    torch.testing.assert_close(gradients, expected)
    assert gradients.abs().sum() > 0


def test_opti_cam_raises_the_logit_of_a_part_network(backbone, images):
    classifier = as_classifier(backbone, PartClassifier(8, 3, 2).double())
    targets = torch.tensor([0, 1, 2, 0])

    def masked_logits(iterations):
        maps = OptiCAM(classifier, iterations=iterations)(images, targets)
        return classifier(images * maps[:, None])[torch.arange(4), targets]

    assert (masked_logits(30) > masked_logits(0)).all()
    assert GradCAM(classifier)(images, targets).shape == (4, 30, 41)


@pytest.mark.parametrize("name", ["sample_vit", "sample_resnet"])
def test_sample_networks_of_both_kinds_become_part_networks(name):
    torch.manual_seed(0)
    backbone = Classifier(build_sample_network(name).double().eval())
    images = torch.rand(2, 3, 64, 64, dtype=torch.float64)
    features = backbone.features(images)
    model = PartClassifier(features.shape[1], 3, 2).double()
    classifier = as_classifier(backbone, model)
    torch.testing.assert_close(classifier(images), model(features).logits)
    assert classifier.in_effect.level == (
        "fast" if name == "sample_resnet" else "exact"
    )  # ViT: nothing to fold
    torch.testing.assert_close(classifier.features(images), features)
    assert ParticipationMap(classifier)(images).shape == (2, 64, 64)


@pytest.mark.parametrize("kind", ["exact", "dense"])
def test_participation_maps_run_through_the_metrics_of_saliency_maps(backbone, images, kind):
    classifier = as_classifier(backbone, PartClassifier(8, 3, 2).double())
    targets = torch.tensor([0, 1, 2, 0])
    method = ParticipationMap(classifier, kind)
    maps = method(images, targets)
    assert maps.shape == (4, 30, 41) and maps.min() >= 0 and maps.max() <= 1
    torch.testing.assert_close(method(images[2:3], targets[2:3]), maps[2:3])
    for curve in (insertion, deletion):
        assert curve(classifier, images, maps, targets, steps=5).auc.shape == (4,)
    scores = faithfulness(classifier, images, maps, targets)
    assert all(0 <= value <= 100 for metric in scores.values() for value in metric.tolist())


@pytest.mark.parametrize("kind", ["exact", "dense"])
def test_the_map_is_the_positive_participation_at_the_pixels_of_the_grid_over_its_range(
    backbone, images, kind
):
    """Step by step; the grid is no even one, and participation has both signs."""
    model = PartClassifier(8, 3, 2).double()
    model.grid.copy_(torch.tensor([[0.1, 1.0], [0.8, 1.1]]))
    targets = torch.tensor([0, 1, 2, 0])
    signed = participation_map(model, backbone.features(images), targets, kind).detach()
    assert signed.min() < 0 < signed.max()
    wide = to_pixels(signed.clamp(min=0), (30, 41), model.grid).clamp(min=0).numpy()
    expected = [(one - one.min()) / (one.max() - one.min()) for one in wide]
    found = ParticipationMap(as_classifier(backbone, model), kind)(images, targets)
    np.testing.assert_allclose(found, expected, atol=8 * torch.finfo(found.dtype).eps)


def test_the_map_peaks_where_the_only_part_with_a_weight_is_found(backbone, images):
    model = PartClassifier(8, 3, 2).double()
    with torch.no_grad():
        model.classifier.weight.zero_()
        model.classifier.weight[1, 4] = 1.0
    output = model(backbone.features(images))
    maps = ParticipationMap(as_classifier(backbone, model))(images, 1)
    columns = backbone.features(images).shape[-1]
    for saliency_map, region in zip(maps, output.argmax_region[:, 4].tolist()):
        row, column = divmod(region, columns)
        y, x = divmod(saliency_map.argmax().item(), 41)
        assert abs(y / 30 * 7 - row - 0.5) < 1 and abs(x / 41 * columns - column - 0.5) < 1


def test_a_network_without_parts_is_refused(backbone):
    with pytest.raises(TypeError, match="need a PartClassifier"):
        ParticipationMap(as_classifier(backbone, GlobalClassifier(8, 3)))
    with pytest.raises(TypeError, match="need a PartClassifier"):
        ParticipationMap(backbone)
    with pytest.raises(ValueError, match="kind is 'cam'"):
        ParticipationMap(as_classifier(backbone, PartClassifier(8, 3, 2).double()), "cam")
