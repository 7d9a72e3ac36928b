"""The CAM family against the grad-cam package from PyPI, on the same network and images.

Where the package's convention differs from ours, the test changes that one thing in the package and says so.
"""

import pytest
import pytorch_grad_cam
import torch
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from tolerances import assert_close
from torch import nn

import opticam


class Normalise(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, images):
        return (images - self.mean) / self.std


def package_maps(name, classifier, images, targets, tokens=False):
    """Maps of the grad-cam package; the pixel normalisation is made a layer in front of the network."""
    network = nn.Sequential(Normalise(classifier.mean, classifier.std), classifier.network)
    reshape = (lambda tokens: tokens[:, 1:].transpose(1, 2).unflatten(2, (7, 7))) if tokens else None
    targets = [ClassifierOutputTarget(int(target)) for target in targets]
    with getattr(pytorch_grad_cam, name)(network, [classifier.target_layer], reshape) as cam:
        return torch.from_numpy(cam(images.clone(), targets))


def assert_same_maps(found, expected):
    assert found.amax((1, 2)).sum() >= 3  # a map of zeros would agree with anything that fails
    terms = 4 + 4  # four cells a pixel, which the package enlarges and normalises twice in float32
    assert_close(found.float(), expected, terms)


@pytest.mark.parametrize("method", ["GradCAM", "GradCAMPlusPlus", "XGradCAM", "LayerCAM", "HiResCAM"])
@pytest.mark.parametrize("name", ["gap", "vgg", "vit"])
def test_gradient_methods_equal_the_packages(classify, images, targets, name, method):
    classifier, images = classify(name, torch.float64), images.double()
    expected = package_maps(method, classifier, images, targets, tokens=name == "vit")
    assert_same_maps(getattr(opticam, method)(classifier)(images, targets), expected)


@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("name", ["gap", "vgg", "vit"])
def test_score_cam_equals_the_packages(classify, images, targets, name, align_corners, monkeypatch):
    if not align_corners:  # the package upsamples masks with aligned corners, ours as Opti-CAM does, without
        monkeypatch.setattr(nn, "UpsamplingBilinear2d", lambda size: nn.Upsample(size, mode="bilinear"))
    classifier, images = classify(name, torch.float64), images.double()
    expected = package_maps("ScoreCAM", classifier, images, targets, tokens=name == "vit")
    method = opticam.ScoreCAM(classifier, align_corners=align_corners)
    assert_same_maps(method(images, targets), expected)


def test_score_cam_equals_the_package_as_it_is_where_nothing_is_upsampled(images, targets):
    torch.manual_seed(2)
    network = nn.Sequential(
        nn.Conv2d(3, 9, 5, padding=2), nn.ReLU(), nn.AdaptiveMaxPool2d(3), nn.Flatten(), nn.Linear(81, 7)
    )
    classifier, images = opticam.Classifier(network.double(), "1"), images.double()
    expected = package_maps("ScoreCAM", classifier, images, targets)
    assert_same_maps(opticam.ScoreCAM(classifier)(images, targets), expected)


@pytest.mark.parametrize("name", ["gap", "vgg"])
def test_ablation_cam_equals_the_packages_behind_a_relu(classify, images, targets, name):
    # There the smallest activation is 0 and the package, too, ablates to 0; elsewhere it takes min - 1e7.
    classifier, images = classify(name, torch.float64), images.double()
    assert classifier.features(images).amin((1, 2, 3)).eq(0).all()
    expected = package_maps("AblationCAM", classifier, images, targets)
    assert_same_maps(opticam.AblationCAM(classifier)(images, targets), expected)


@pytest.mark.parametrize("method", ["GradCAMPlusPlus", "XGradCAM"])
def test_what_keeps_denominators_from_zero_is_the_packages(method):
    """Channels of one position, whose activations and gradients come down to the size of what is added."""
    sizes = 10.0 ** torch.arange(-9, 1, dtype=torch.float64)
    features, gradients = (
        torch.cat([sizes, sizes])[None, :, None, None],
        torch.cat([sizes, -sizes])[None, :, None, None],
    )
    cam = getattr(pytorch_grad_cam, method)
    expected = cam.get_cam_weights(None, None, None, None, features.numpy(), gradients.numpy())
    found = getattr(opticam, method).weights(None, features, gradients)
    torch.testing.assert_close(found[:, :, 0, 0], torch.from_numpy(expected), rtol=1e-9, atol=0)
