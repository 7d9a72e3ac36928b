"""Opti-CAM's iteration recorded on a GPU: the maps of plain steps, whatever becomes of the network."""

import pytest
import torch
from torch import nn

from opticam import OptiCAM

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")


def on_gpu(classify, images, device="cuda"):
    return classify("gap", torch.float64, optimize="exact").to(device), images.double().to(device)


def assert_same_maps(method, classifier, images, targets, iterations=10):
    """Those of a method that never records; both in float64."""
    plain = OptiCAM(classifier, iterations=iterations, cuda_graph=False)
    torch.testing.assert_close(method(images, targets), plain(images, targets), rtol=0, atol=1e-6)


def test_a_replayed_graph_gives_the_maps_of_plain_steps(classify, images, targets):
    classifier, images = on_gpu(classify, images)
    method = OptiCAM(classifier, iterations=10)
    for rows in (slice(0, 4), slice(2, 5), slice(0, 5)):  # the same size, a partial batch, a larger one
        assert_same_maps(method, classifier, images[rows], targets[rows])
    assert method.cuda_graph


def negate_weights(network):
    with torch.no_grad():
        network.fc.weight.neg_()


def replace_activation(network):
    network.block.relu = nn.GELU()


@pytest.mark.parametrize("change", [negate_weights, replace_activation])
def test_a_changed_network_gives_the_maps_of_plain_steps(classify, images, targets, change):
    classifier, images = on_gpu(classify, images)
    method = OptiCAM(classifier, iterations=10)
    before = method(images, targets)
    change(classifier.network)
    assert_same_maps(method, classifier, images, targets)
    assert (method(images, targets) - before).abs().max() > 1e-3


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there is one GPU")
def test_tensors_on_a_gpu_that_is_not_the_current_one(classify, images, targets):
    classifier, images = on_gpu(classify, images, "cuda:1")
    method = OptiCAM(classifier, iterations=10)
    assert torch.cuda.current_device() == 0
    assert_same_maps(method, classifier, images, targets)
    assert method.cuda_graph


class Reading(nn.Module):
    """Scales by a number that the host reads from the GPU."""

    def forward(self, logits):
        return logits / max(logits.abs().max().item(), 1.0)


class Deciding(nn.Module):
    """Chooses by what the GPU found."""

    def forward(self, logits):
        return 2 * logits if logits.max() > 0 else logits


class Sending(nn.Module):
    """Makes a tensor of the host's numbers in every pass."""

    def forward(self, logits):
        return logits * torch.tensor([2.0], dtype=logits.dtype, device=logits.device)


@pytest.mark.parametrize("layer", [Reading, Deciding, Sending])
def test_what_cannot_be_recorded_runs_step_by_step_and_leaves_the_gpu_usable(
    classify, images, targets, layer
):
    classifier, images = on_gpu(classify, images)
    last, stream = classifier.network.fc, torch.cuda.current_stream()
    classifier.network.fc = nn.Sequential(last, layer())
    method = OptiCAM(classifier, iterations=10)
    with pytest.warns(RuntimeWarning, match="cuda_graph: the iteration cannot be recorded"):
        assert_same_maps(method, classifier, images, targets)
    assert not method.cuda_graph and torch.cuda.current_stream() == stream
    assert torch.rand(3, device="cuda").max().item() < 1
    classifier.network.fc = last
    method = OptiCAM(classifier, iterations=10)
    assert_same_maps(method, classifier, images, targets)
    assert method.cuda_graph
