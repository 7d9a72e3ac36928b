"""Captum's LayerGradCam example through our adapter."""

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

import opticam
from opticam.adapters.captum import Attribution
from opticam.masking import upsample_and_normalize


class ImageClassifier(nn.Module):
    """The kind of network in Captum's examples: Nx3x32x32 images to Nx10 scores, with a layer conv4."""

    def __init__(self):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 12, 3)
        self.conv3, self.conv4 = nn.Conv2d(12, 16, 3), nn.Conv2d(16, 20, 3)
        self.fc = nn.Linear(20, 10)

    def forward(self, images):
        maps = self.conv2(self.conv1(images).relu()).relu()
        return self.fc(self.conv4(self.conv3(maps).relu()).relu().amax((2, 3)))


@pytest.fixture
def net():
    torch.manual_seed(0)
    return ImageClassifier().double().eval()


@pytest.fixture
def inputs():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1)).double()


@pytest.mark.parametrize("target", [3, [3, 9], torch.tensor([0, 5])], ids=["int", "list", "tensor"])
def test_captums_example(net, inputs, target):
    layer_gc = Attribution(net, net.conv4, method=opticam.GradCAM)
    attribution = layer_gc.attribute(inputs, target)
    raw = LayerGradCam(net, net.conv4).attribute(inputs, target, relu_attributions=True)
    expected = upsample_and_normalize(raw[:, 0].detach(), (32, 32))[:, None]
    assert attribution.shape == (2, 1, 32, 32)
    torch.testing.assert_close(attribution, expected)


def test_opti_cam_is_the_default(net, inputs):
    attribution = Attribution(net, "conv4", iterations=5).attribute(inputs, target=2)
    classifier = opticam.Classifier(net, "conv4", mean=(0,), std=(1,), pixel_range=None)
    expected = opticam.OptiCAM(classifier, iterations=5)(inputs, 2)
    torch.testing.assert_close(attribution[:, 0], expected)


def test_as_quantus_calls_it(net, inputs):
    """Quantus gives and expects NumPy arrays."""

    def explain(model, inputs, targets, **options):
        tensors = torch.as_tensor(inputs), torch.as_tensor(targets)
        return Attribution(model, "conv4", iterations=3).attribute(tensors[0], target=tensors[1]).numpy()

    maps = explain(net, inputs.numpy(), np.array([1, 4]))
    assert maps.shape == (2, 1, 32, 32)
    assert np.isfinite(maps).all()
    # A range times its inverse is 1 to two roundings.
    np.testing.assert_allclose(maps.max(axis=(1, 2, 3)), 1, rtol=0, atol=2 * np.finfo(maps.dtype).eps)


def test_normalised_inputs_are_masked_as_pixels(net):
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.3, 0.1)
    pixels = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    inputs = (pixels - torch.tensor(mean)[:, None, None]) / torch.tensor(std)[:, None, None]
    attribution = Attribution(net, "conv4", mean=mean, std=std, iterations=1).attribute(inputs, 2)
    classifier = opticam.Classifier(net, "conv4", mean=mean, std=std)
    expected = opticam.OptiCAM(classifier, iterations=1)(pixels, 2)
    torch.testing.assert_close(attribution[:, 0], expected)


def test_bad_arguments_are_named(net, inputs):
    with pytest.raises(TypeError, match="forward_func"):
        Attribution(lambda pixels: net(pixels), net.conv4)
    with pytest.raises(ValueError, match="images: pixels must be finite"):
        Attribution(net, net.conv4).attribute(inputs / 0)
    with pytest.raises(ValueError, match="mean, std"):
        Attribution(net, net.conv4, mean=(0.5,) * 3)
