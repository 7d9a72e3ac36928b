"""Which convolutions of a network are replaced, and that it computes the same afterwards."""

import copy

import pytest
import torch
import torchvision
from tolerances import assert_as_accurate, assert_close, without_kinks
from torch import nn

from opticam import Classifier
from opticam.acceleration.convolutions import pack_convolutions
from opticam.acceleration.float64_convolution import Float64Convolution, computable
from opticam.acceleration.packed_convolution import PackedConvolution, can_pack

packed = pytest.mark.skipif(
    not can_pack(torch.float32), reason="this build of PyTorch has no packed convolutions"
)
compiled = pytest.mark.skipif(
    not computable(nn.Conv2d(1, 1, 1).double()), reason="the extension opticam._C is not built"
)
KINDS = [
    pytest.param(torch.float32, PackedConvolution, marks=packed),
    pytest.param(torch.float64, Float64Convolution, marks=compiled),
]


def network(name):
    torch.manual_seed(0)
    found = torchvision.models.get_model(name, num_classes=7).eval().requires_grad_(False)
    return without_kinks(found).to(memory_format=torch.channels_last)


@pytest.mark.parametrize(("dtype", "kind"), KINDS)
def test_what_has_no_faster_form_stays(dtype, kind):
    layers = nn.Sequential(
        nn.Conv2d(4, 4, 3, groups=2),
        nn.Conv2d(4, 4, 3, padding="same"),
        nn.Conv2d(4, 4, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(4, 4, 3).to(torch.float16),
        nn.Conv2d(4, 4, 3, padding=1).to(dtype),
    )
    assert pack_convolutions(layers.requires_grad_(False)) == 1
    assert [type(module) for module in layers] == [nn.Conv2d] * 4 + [kind]


@pytest.mark.parametrize(("dtype", "kind"), KINDS)
def test_a_convolution_under_two_names_stays_one(dtype, kind):
    shared = nn.Conv2d(4, 4, 3, padding=1).to(dtype).requires_grad_(False)
    layers = nn.Sequential(shared, nn.ReLU(), shared)
    assert pack_convolutions(layers) == 2
    assert layers[0] is layers[2]
    assert type(layers[0]) is kind


@packed
@compiled
def test_more_padding_than_the_kernel_reaches_is_for_float64_alone():
    layers = nn.Sequential(nn.Conv2d(4, 4, 1, padding=1)).requires_grad_(False)
    assert pack_convolutions(layers) == 0
    assert pack_convolutions(layers.double()) == 1


@packed
@pytest.mark.parametrize("name", ["resnet50", "vgg11_bn", "squeezenet1_1", "mobilenet_v2"])
def test_networks_keep_logits_and_gradients(name):
    plain = network(name)
    faster = copy.deepcopy(plain)
    assert pack_convolutions(faster) > 0
    images = torch.rand(2, 3, 96, 80).contiguous(memory_format=torch.channels_last)
    wide = copy.deepcopy(plain).double()
    for batch in (images, images[:1], images[:1]):
        for triple in zip(*(results(version, batch) for version in (faster, plain, wide))):
            assert_as_accurate(*triple, 9 * 512)  # terms of the widest convolutions


@compiled
@pytest.mark.parametrize("name", ["resnet18", "vgg11_bn", "squeezenet1_1"])
def test_float64_networks_keep_logits_and_gradients(name):
    plain = network(name).double()
    faster = copy.deepcopy(plain)
    assert pack_convolutions(faster) > 0
    images = torch.rand(2, 3, 72, 64)
    for pair in zip(*(results(version, images) for version in (faster, plain))):
        assert_close(*pair, length=9 * 512)


def results(version, batch):
    """Logits, and the gradient of one by the images."""
    pixels = batch.to(next(version.parameters()), copy=True).requires_grad_()
    logits = version(pixels)
    return logits.detach(), torch.autograd.grad(logits[:, 3].sum(), pixels)[0]


@pytest.mark.parametrize(("dtype", "kind"), KINDS)
def test_fast_runs_them_on_the_cpu_and_leaves_the_network_alone(dtype, kind):
    plain = torchvision.models.resnet18(num_classes=7).eval().to(dtype)
    classifier = Classifier(plain, optimize="fast")
    classifier(torch.rand(1, 3, 64, 64, dtype=dtype))
    assert classifier.in_effect.level == "fast"
    assert sum(isinstance(module, kind) for module in classifier.in_effect.network.modules()) == 20
    assert not any(isinstance(module, kind) for module in plain.modules())
