"""Global pooling is PyTorch's, to the bit; its gradient leaves the layout to what comes before."""

import pytest
import torch
from torch import nn

from opticam.acceleration.global_pooling import GlobalPooling, pool_in_layout
from opticam.acceleration.prepared_network import prepare


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_values_and_gradients_are_those_of_pytorch(dtype, layout):
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(3, 5, 7, 6, dtype=torch.float64, generator=generator).to(dtype)
    slope = torch.randn(3, 5, 1, 1, dtype=torch.float64, generator=generator).to(dtype)
    found = []
    for pool in (GlobalPooling(), nn.AdaptiveAvgPool2d(1)):
        leaf = features.clone().contiguous(memory_format=layout).requires_grad_()
        pooled = pool(leaf)
        found.append((pooled, *torch.autograd.grad(pooled, [leaf], slope)))
    for ours, theirs in zip(*found):
        assert torch.equal(ours, theirs)


def test_second_derivatives_are_there():
    features = torch.rand(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda x: GlobalPooling()(x).square(), [features])


def test_pictures_without_a_batch_are_pooled_as_before():
    features = torch.rand(3, 4, 5)
    assert torch.equal(GlobalPooling()(features), nn.AdaptiveAvgPool2d(1)(features))


class Branches(nn.Module):
    """Convolutions whose gradient comes from the pooling alone, or through an activation; one pooling, two names."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 40, 3), nn.Conv2d(40, 36, 3), activation)
        self.pool = self.again = nn.AdaptiveAvgPool2d((1, 1))
        self.other, self.head = nn.AdaptiveAvgPool2d(2), nn.Linear(36 * 5, 4)

    def forward(self, images):
        features = self.body(images)
        return self.head(torch.cat([self.again(features).flatten(1), self.other(features).flatten(1)], 1))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("activation", [nn.Identity, nn.ReLU])
def test_a_prepared_network_pools_so_and_has_the_same_gradient(activation, dtype):
    torch.manual_seed(0)
    network = Branches(activation()).to(dtype).eval().requires_grad_(False)
    images = torch.rand(2, 3, 15, 13, dtype=dtype)
    prepared = prepare(network, "fast", images)
    assert prepared.level == "fast"
    assert isinstance(prepared.network.pool, GlobalPooling)
    assert isinstance(prepared.network.again, GlobalPooling)
    assert type(prepared.network.other) is nn.AdaptiveAvgPool2d
    assert type(network.pool) is nn.AdaptiveAvgPool2d
    gradients = []
    for run in (prepared, network.double()):
        leaf = images.to(dtype if run is prepared else torch.float64).requires_grad_()
        gradients.append(torch.autograd.grad(run(leaf)[:, 1].sum(), [leaf])[0].double())
    ours, exact = gradients
    terms = 40 * 9 * 36 * 9
    assert (ours - exact).abs().max() <= 4 * torch.finfo(dtype).eps * terms**0.5 * exact.abs().max()


def test_the_gradient_has_no_layout_of_its_own():
    network, steps = nn.Sequential(nn.AdaptiveAvgPool2d(1)), []
    for _ in range(2):
        features = (
            torch.rand(2, 40, 7, 7).contiguous(memory_format=torch.channels_last).requires_grad_().clone()
        )
        features.register_hook(lambda gradient: steps.append(gradient.stride()[2:]))
        network(features).sum().backward()
        pool_in_layout(network)
    assert steps == [(7, 1), (0, 0)]
