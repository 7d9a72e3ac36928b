"""Empty batches, constant maps, NaN, odd memory, repeated runs: for every backend of this machine."""

import pytest
import torch
from tolerances import assert_close, masking_sum

from opticam.masking import channel_masks, saliency_mask, step_masks
from opticam.masking.reference import NORMALIZATIONS

BACKENDS = ["eager", "auto"]
pytestmark = pytest.mark.parametrize("backend", BACKENDS)


def gradient_of(features, logits_u, images, normalization, backend):
    logits_u = logits_u.detach().clone().requires_grad_()
    masked, saliency_map = saliency_mask(features, logits_u, images, normalization, backend)
    (gradient,) = torch.autograd.grad(masked.square().sum() + saliency_map.sin().sum(), logits_u)
    return masked.detach(), saliency_map.detach(), gradient


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_empty_batch(backend, normalization):
    inputs = torch.zeros(0, 5, 3, 3), torch.zeros(0, 5), torch.zeros(0, 3, 9, 8)
    masked, saliency_map, gradient = gradient_of(*inputs, normalization, backend)
    assert (masked.shape, saliency_map.shape, gradient.shape) == ((0, 3, 9, 8), (0, 9, 8), (0, 5))
    assert channel_masks(inputs[0], inputs[2], [1, 2], backend).shape == (0, 2, 3, 9, 8)
    ranks = torch.zeros(0, 9, 8, dtype=torch.int64)
    assert step_masks(ranks, inputs[2], torch.zeros(1), [3], backend).shape == (0, 1, 3, 9, 8)


def test_no_channel_and_no_step_give_empty_results(backend):
    images = torch.rand(2, 3, 9, 8)
    assert channel_masks(torch.rand(2, 5, 3, 3), images, [], backend).shape == (2, 0, 3, 9, 8)
    ranks = torch.zeros(2, 9, 8, dtype=torch.int64)
    assert step_masks(ranks, images, torch.zeros(1), [], backend).shape == (2, 0, 3, 9, 8)


@pytest.mark.parametrize("value", [0.0, 0.3, -7.7, 1e-30, 1e30])
@pytest.mark.parametrize("cells", [(1, 1), (7, 7), (3, 11)], ids=str)
def test_constant_maps_give_zeros_and_zero_gradient(backend, value, cells):
    features = torch.full((2, 300, *cells), value)
    logits_u = torch.randn(2, 300, generator=torch.Generator().manual_seed(0))
    masked, saliency_map, gradient = gradient_of(
        features, logits_u, torch.rand(2, 3, 50, 41), "range", backend
    )
    for zeros in (masked, saliency_map, gradient):
        assert torch.equal(zeros, torch.zeros_like(zeros))


@pytest.mark.parametrize("normalization", ["range", "max"])
def test_the_size_of_features_changes_no_map(backend, normalization):
    """By a power of two from whole numbers to the least of float32, of which the inverse is infinite."""
    features = torch.randint(1, 8, (2, 1, 4, 4), generator=torch.Generator().manual_seed(0)).float()
    logits_u, images = torch.zeros(2, 1), torch.rand(2, 3, 16, 16)
    whole = saliency_mask(features, logits_u, images, normalization, backend)[1]
    masks = channel_masks(features, images, [0], backend)
    for power in (-100, -130, -140):
        small = torch.ldexp(features, torch.tensor(power))
        found = saliency_mask(small, logits_u, images, normalization, backend)[1]
        torch.testing.assert_close(found, whole, atol=2.0 ** (-149 - power) + 1e-6, rtol=0)
        torch.testing.assert_close(channel_masks(small, images, [0], backend), masks, atol=3e-3, rtol=0)


@pytest.mark.parametrize("normalization", ["range", "max"])
def test_nan_features_spread_over_their_image_alone(backend, normalization):
    features = torch.rand(2, 5, 4, 4)
    features[0, 2, 1, 3] = torch.nan
    masked, saliency_map, gradient = gradient_of(
        features, torch.zeros(2, 5), torch.rand(2, 3, 19, 17) + 0.1, normalization, backend
    )
    for result in (masked, saliency_map, gradient):
        assert result[0].isnan().all()
        assert result[1].isfinite().all()


def test_infinite_features_end_and_leave_other_images_alone(backend):
    features = torch.rand(2, 5, 4, 4)
    features[0, 2, 1, 3] = torch.inf
    _, saliency_map, _ = gradient_of(features, torch.zeros(2, 5), torch.rand(2, 3, 19, 17), "range", backend)
    assert not saliency_map[0].isfinite().all()
    assert saliency_map[1].isfinite().all()


def test_strided_inputs_equal_their_copies(backend):
    generator = torch.Generator().manual_seed(1)
    features = torch.randn(2, 10, 9, 6, generator=generator)[:, ::2, 1::2].transpose(2, 3)
    logits_u = torch.randn(5, 2, generator=generator).T
    images = torch.rand(2, 3, 40, 60, generator=generator)[:, :, :, ::2].transpose(2, 3)
    strided = gradient_of(features, logits_u, images, "range", backend)
    copied = gradient_of(features.contiguous(), logits_u.contiguous(), images.contiguous(), "range", backend)
    for one, other in zip(strided, copied):
        assert_close(one, other, masking_sum(features, images))


def test_two_runs_give_identical_bits(backend):
    inputs = torch.randn(3, 700, 7, 7), torch.randn(3, 700), torch.rand(3, 3, 64, 61)
    first, second = gradient_of(*inputs, "range", backend), gradient_of(*inputs, "range", backend)
    assert all(torch.equal(a, b) for a, b in zip(first, second))


def test_gradient_of_either_output_alone(backend):
    features, images = torch.randn(2, 9, 5, 4), torch.rand(2, 3, 23, 21)
    logits_u = torch.randn(2, 9, requires_grad=True)
    masked, saliency_map = saliency_mask(features, logits_u, images, backend=backend)
    (of_map,) = torch.autograd.grad(saliency_map.square().sum(), logits_u, retain_graph=True)
    (of_masked,) = torch.autograd.grad(masked.square().sum(), logits_u, retain_graph=True)
    (of_both,) = torch.autograd.grad(masked.square().sum() + saliency_map.square().sum(), logits_u)
    assert_close(of_map + of_masked, of_both, masking_sum(features, images))
    assert of_map.abs().max() > 0


def test_features_and_images_are_constants(backend):
    features = torch.randn(2, 9, 5, 4, requires_grad=True)
    images = torch.rand(2, 3, 23, 21, requires_grad=True)
    masked, saliency_map = saliency_mask(features, torch.zeros(2, 9), images, backend=backend)
    assert not masked.requires_grad
    assert not saliency_map.requires_grad


def test_how_much_rounding_makes_a_map_constant_is_the_same_everywhere(backend):
    eps = torch.finfo(torch.float64).eps
    images, logits_u = torch.ones(1, 1, 1, 2, dtype=torch.float64), torch.zeros(1, 1, dtype=torch.float64)
    constant = []
    for ulps in range(1, 129):
        features = torch.tensor([[[[1, 1 + ulps * eps]]]], dtype=torch.float64)
        maps = [saliency_mask(features, logits_u, images, backend=name)[1] for name in ("eager", backend)]
        torch.testing.assert_close(*maps)
        constant.append(not maps[0].any())
    assert constant[0] and not constant[-1] and constant == sorted(constant, reverse=True)
