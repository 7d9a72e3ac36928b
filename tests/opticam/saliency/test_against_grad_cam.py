"""The CAM family against the grad-cam package from PyPI, on the same network and images."""

import pytest
import pytorch_grad_cam
import torch
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

import opticam


class Normalise(nn.Module):
    def __init__(self, mean, std):
        super().__init__()
        self.mean, self.std = mean, std

    def forward(self, images):
        return (images - self.mean) / self.std


def package_maps(cls, classifier, images, targets, tokens=False):
    """Maps of the grad-cam package; the pixel normalisation is made a layer in front of the network."""
    network = nn.Sequential(Normalise(classifier.mean, classifier.std), classifier.network)
    reshape = (lambda tokens: tokens[:, 1:].transpose(1, 2).unflatten(2, (7, 7))) if tokens else None
    with cls(network, [classifier.target_layer], reshape_transform=reshape) as cam:
        maps = cam(images.clone(), [ClassifierOutputTarget(int(target)) for target in targets])
    return torch.from_numpy(maps)


@pytest.mark.parametrize("method", ["GradCAM"])
@pytest.mark.parametrize("name", ["gap", "vgg", "vit"])
def test_maps_equal_the_packages(classify, images, targets, name, method):
    classifier = classify(name)
    expected = package_maps(
        getattr(pytorch_grad_cam, method), classifier, images, targets, tokens=name == "vit"
    )
    found = getattr(opticam, method)(classifier)(images, targets)
    assert found.amax((1, 2)).sum() >= 3  # a map of zeros would agree with anything that fails
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-3)
