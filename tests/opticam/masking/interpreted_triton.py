"""The Triton kernels in Triton's interpreter, run by test_triton.py in a process of its own.

Every output and intermediate of the kernels starts as NaN, so one they leave unwritten shows.
"""

import pytest
import torch
from tolerances import assert_as_accurate
from triton.runtime.interpreter import InterpretedFunction

from opticam.masking import closed_form, ops, reference
from opticam.masking.reference import NORMALIZATIONS
from opticam.masking.triton import launch

SHAPES = [
    (2, 63, (4, 3), 3, (25, 19)),
    (1, 9, (1, 6), 1, (1, 13)),
    (2, 5, (1, 1), 2, (9, 8)),
    (2, 17, (6, 5), 4, (4, 3)),
    (2, 17, (3, 2), 3, (11, 32)),
]
GROUPED = (1, 9, (2, 3), 3, (9, 96))
"""Cells of 32 pixels: a row is cut into groups of 8 or 16 pixels between the same cells."""
EMPTY, EMPTY_LIKE = torch.empty, torch.empty_like


@pytest.fixture(autouse=True)
def poisoned(monkeypatch):
    def poison(tensor):
        return tensor.fill_(torch.nan) if tensor.is_floating_point() else tensor

    monkeypatch.setattr(torch, "empty", lambda *a, **k: poison(EMPTY(*a, **k)))
    monkeypatch.setattr(torch, "empty_like", lambda *a, **k: poison(EMPTY_LIKE(*a, **k)))
    new_empty = torch.Tensor.new_empty
    monkeypatch.setattr(torch.Tensor, "new_empty", lambda *a, **k: poison(new_empty(*a, **k)))


def make(shape, dtype=torch.float32, shared=False):
    batch, channels, cells, colours, pixels = shape
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(1 if shared else batch, channels, *cells, generator=generator).to(dtype)
    logits_u = 2 * torch.randn(batch, channels, generator=generator)
    return features, logits_u, torch.rand(batch, colours, *pixels, generator=generator).to(dtype)


def close(ours, expected, exact):
    """As accurate as plain float32; no sum of these shapes has more than 25,000 terms."""
    assert_as_accurate(ours, expected, exact, length=25_000)


def both(inputs, gradients, normalization):
    """Forward outputs and dL/du in plain PyTorch."""
    outputs = ops.IMPLEMENTATIONS["saliency_mask"](*inputs, normalization)
    saved = inputs[0], inputs[2], *outputs[1:]
    return *outputs, closed_form.saliency_mask_backward(*gradients, *saved, normalization)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("given", ["masked", "both"])
def test_forward_and_backward(shape, normalization, given):
    assert_accurate(shape, normalization, given)


@pytest.mark.parametrize("shape", [(1, 63, (7, 5), 3, (101, 67)), GROUPED], ids=str)
def test_more_pixels(shape):
    assert_accurate(shape, "range", "masked")


def assert_accurate(shape, normalization, given):
    inputs = make(shape)
    gradients = torch.randn_like(inputs[2]), None if given == "masked" else torch.randn(shape[0], *shape[4])
    exact = both(
        [t.double() for t in inputs], [g if g is None else g.double() for g in gradients], normalization
    )
    plain = both(inputs, gradients, normalization)
    ours = launch.saliency_mask(*inputs, normalization)
    saved = inputs[0], inputs[2], *ours[1:]
    ours = *ours, launch.saliency_mask_backward(*gradients, *saved, normalization)
    for values in zip(ours, plain, exact):
        close(*values)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("shape", [SHAPES[0], GROUPED], ids=str)
def test_low_precision_shared_features_and_channels_last(dtype, shape):
    features, logits_u, images = make(shape, dtype, shared=True)
    images = images.contiguous(memory_format=torch.channels_last)
    gradients = torch.randn_like(images), None
    exact = both([t.double() for t in (features, logits_u, images)], (gradients[0].double(), None), "range")
    plain = both((features, logits_u, images), gradients, "range")
    ours = launch.saliency_mask(features, logits_u, images, "range")
    assert ours[0].is_contiguous(memory_format=torch.channels_last)
    saved = features, images, *ours[1:]
    ours = *ours, launch.saliency_mask_backward(*gradients, *saved, "range")
    for values in zip(ours, plain, exact):
        close(*values)


def test_two_kernels_forward_and_three_backward(monkeypatch):
    launched = []
    run = InterpretedFunction.run
    monkeypatch.setattr(
        InterpretedFunction, "run", lambda self, *a, **k: launched.append(self) or run(self, *a, **k)
    )
    features, logits_u, images = make(SHAPES[0])
    outputs = launch.saliency_mask(features, logits_u, images, "range")
    assert len(launched) == 2
    launch.saliency_mask_backward(images, None, features, images, *outputs[1:], "range")
    assert len(launched) == 5


def test_constant_maps_and_nan():
    images = torch.rand(3, 3, 21, 17) + 0.1
    features = torch.rand(3, 5, 4, 4)
    features[0], features[1, 2, 1, 3] = 0.3, torch.nan
    outputs = launch.saliency_mask(features, torch.zeros(3, 5), images, "range")
    gradient = launch.saliency_mask_backward(
        torch.ones_like(images), None, features, images, *outputs[1:], "range"
    )
    for result in (outputs[0], outputs[1], gradient):
        assert torch.equal(result[0], torch.zeros_like(result[0]))
        assert result[1].isnan().all()
        assert result[2].isfinite().all()


@pytest.mark.parametrize("normalization", ["range", "max"])
def test_the_size_of_features_changes_no_map(normalization):
    features = torch.randint(1, 8, (2, 1, 4, 4), generator=torch.Generator().manual_seed(0)).float()
    logits_u, images = torch.zeros(2, 1), torch.rand(2, 3, 16, 16)
    whole = launch.saliency_mask(features, logits_u, images, normalization)[1]
    small = launch.saliency_mask(torch.ldexp(features, torch.tensor(-140)), logits_u, images, normalization)[
        1
    ]
    torch.testing.assert_close(small, whole, atol=2.0**-9, rtol=0)


def test_more_channels_than_a_kernel_holds_at_once():
    assert_accurate((1, 5000, (2, 2), 3, (5, 4)), "range", "masked")


def test_empty_batch():
    outputs = launch.saliency_mask(*(t[:0] for t in make(SHAPES[0])), "range")
    assert [len(t) for t in outputs] == [0, 0, 0, 0]


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("pixels", [(25, 19), (11, 48)], ids=str)
def test_channel_masks(shared, pixels):
    features, _, images = make((2, 63, (4, 3), 3, pixels), shared=shared)
    channels = torch.tensor([[0, 62], [5, 5]])
    ours = launch.channel_masks(features, images, channels)
    eager, exact = (
        reference.channel_masks(*given, channels)
        for given in ((features, images), (features.double(), images.double()))
    )
    assert_as_accurate(ours, eager, exact, length=4)
    outside = launch.channel_masks(features, images, torch.tensor([[63, 1], [1, -1]]))
    assert outside[0, 0].isnan().all()
    assert outside[1, 1].isnan().all()
    assert outside[0, 1].isfinite().all()


@pytest.mark.parametrize("size", [(2, 3, 25, 19), (1, 3, 1, 1), (1, 1, 25, 1), (1, 1, 1, 19)], ids=str)
def test_step_masks(size):
    images, baseline = make(SHAPES[0])[2], torch.rand(size)
    ranks = torch.stack([torch.randperm(25 * 19).view(25, 19) for _ in range(2)])
    steps = torch.tensor([0, 200, 25 * 19])
    expected = reference.step_masks(ranks, images, baseline, steps)
    assert torch.equal(launch.step_masks(ranks, images, baseline, steps), expected)


def test_adam_step_equals_torchs():
    features, logits_u, images = make(SHAPES[0])
    outputs = launch.saliency_mask(features, logits_u, images, "range")
    grad_masked = torch.randn_like(images)
    saved = grad_masked, None, features, images, *outputs[1:], "range"
    gradient = launch.saliency_mask_backward(*saved)
    peer = logits_u.clone().requires_grad_()
    adam = torch.optim.Adam([peer], lr=0.1)
    moments = torch.zeros_like(logits_u), torch.zeros_like(logits_u)
    for iteration in (1, 2, 3):
        peer.grad = gradient.clone()
        adam.step()
        launch.saliency_mask_adam_(logits_u, *moments, torch.tensor(iteration), *saved, 0.1, 0.9, 0.999, 1e-8)
    torch.testing.assert_close(logits_u, peer.detach(), atol=1e-5, rtol=1e-5)
