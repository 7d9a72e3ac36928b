"""A backend errs from float64 by no more than the tests' rule allows, which starts from eager's own error."""

import pytest
import torch
from tolerances import assert_as_accurate, assert_close, error, masking_sum, rounding

from opticam.masking import channel_masks, ops, saliency_mask
from opticam.masking.reference import NORMALIZATIONS

pytestmark = pytest.mark.skipif(bool(ops.CPP_REASON), reason=ops.CPP_REASON or "built")
DTYPES = [torch.float32, torch.bfloat16, torch.float16]


def run(features, logits_u, images, normalization, backend):
    """Both outputs and the gradient of a loss that reads both."""
    logits_u = logits_u.detach().clone().requires_grad_()
    masked, saliency_map = saliency_mask(features, logits_u, images, normalization, backend)
    # Rounded to bfloat16, so that every dtype is asked for the same loss.
    wave = torch.cos(torch.arange(masked.numel())).bfloat16().view_as(masked).to(masked.dtype)
    loss = (masked * wave).double().sum() + saliency_map.double().square().sum()
    (gradient,) = torch.autograd.grad(loss, logits_u)
    return masked.detach(), saliency_map.detach(), gradient


def gradient_terms(features, logits_u, images):
    """Size of what a gradient adds up, pixels of random sign over the map's largest value; all of it cancels where
    the normalised map is constant."""
    combined = torch.einsum(
        "bk,bkhw->bhw", logits_u.double().softmax(1), features.double().expand(len(logits_u), -1, -1, -1)
    )
    return (images[0].numel() ** 0.5 * features.abs().max() / combined.abs().amax((1, 2)).min()).item()


def assert_accurate(inputs, normalization):
    exact = run(*(t.double() for t in inputs), normalization, "eager")
    eager = run(*inputs, normalization, "eager")
    fused = run(*inputs, normalization, "cpp")
    for name, truth, reference, ours in zip(("masked", "map", "gradient"), exact, eager, fused):
        least = gradient_terms(*inputs) if name == "gradient" else 0.0
        assert_as_accurate(ours, reference, truth, masking_sum(inputs[0], inputs[2]), name, least)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_within_twice_eagers_error(shape, inputs, dtype, normalization):
    assert_accurate(inputs(shape, dtype), normalization)


def test_features_of_one_image_serve_all(shape, inputs):
    assert_accurate(inputs(shape, shared=True), "range")


def test_channels_last_keeps_its_layout(shape, inputs):
    features, logits_u, images = inputs(shape)
    last = images.contiguous(memory_format=torch.channels_last)
    plain = run(features, logits_u, images, "range", "cpp")
    ours = run(features, logits_u, last, "range", "cpp")
    for one, other in zip(ours, plain):
        assert_close(one, other, masking_sum(features, images))
    masked, _ = saliency_mask(features, logits_u, last, backend="cpp")
    assert masked.is_contiguous(memory_format=torch.channels_last)


def test_mixed_dtypes_keep_the_images_dtype(inputs, shape):
    features, logits_u, images = inputs(shape)
    masked, saliency_map = saliency_mask(features.half(), logits_u.bfloat16(), images.double(), backend="cpp")
    assert (masked.dtype, saliency_map.dtype) == (torch.float64, torch.float32)
    wide = features.half().double(), logits_u.bfloat16().double(), images.double()
    exact, eager = (saliency_mask(*given, backend="eager")[0] for given in (wide, [t.float() for t in wide]))
    allowed = 2 * error(eager, exact) + rounding(exact, masking_sum(features, images))  # the map is float32
    assert error(masked, exact) <= allowed


def test_float64_is_exact(shape, inputs, definition):
    wide = [t.double() for t in inputs(shape)]
    expected = definition(*wide)
    for ours, truth in zip(saliency_mask(*wide, backend="cpp"), expected):
        torch.testing.assert_close(ours, truth, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_channel_masks(shape, inputs, dtype):
    features, _, images = inputs(shape, dtype)
    channels = torch.tensor([[4, 0, 1]]).expand(shape.batch, -1)
    exact = channel_masks(features.double(), images.double(), channels, backend="eager")
    eager = channel_masks(features, images, channels, backend="eager")
    ours = channel_masks(features, images, channels, backend="cpp")
    assert_as_accurate(ours, eager, exact, length=4)
