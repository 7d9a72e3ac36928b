"""The Triton kernels on a GPU: accuracy, identical bits, compilation, CUDA graphs."""

import pytest
import torch
from tolerances import assert_as_accurate
from torch.library import opcheck

from opticam.masking import MaskOptimizer, channel_masks, saliency_mask, step_masks
from opticam.masking.reference import NORMALIZATIONS

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
RESNET, VGG = (2048, 7, 7, 224, 224), (512, 14, 14, 224, 224)
SIZES = [RESNET, VGG, (63, 7, 5, 101, 67), (17, 13, 9, 11, 7), (9, 1, 6, 1, 33), (4096, 3, 3, 40, 40)]


def make(size, batch=3, dtype=torch.float32, colours=3):
    channels, h, w, height, width = size
    generator = torch.Generator("cuda").manual_seed(0)
    features = torch.randn(batch, channels, h, w, generator=generator, device="cuda").to(dtype)
    logits_u = 2 * torch.randn(batch, channels, generator=generator, device="cuda")
    images = torch.rand(batch, colours, height, width, generator=generator, device="cuda").to(dtype)
    return features, logits_u, images


def run(features, logits_u, images, normalization="range", backend="auto"):
    logits_u = logits_u.detach().clone().requires_grad_()
    masked, saliency_map = saliency_mask(features, logits_u, images, normalization, backend)
    # Rounded to bfloat16, so that every dtype is asked for the same loss.
    wave = torch.cos(torch.arange(masked.numel(), device="cuda")).bfloat16().view_as(masked).to(masked.dtype)
    loss = (masked * wave).double().sum() + saliency_map.double().square().sum()
    (gradient,) = torch.autograd.grad(loss, logits_u)
    return masked.detach(), saliency_map.detach(), gradient


def assert_accurate(inputs, normalization="range"):
    exact = run(*(t.double() for t in inputs), normalization, "eager")
    eager, ours = run(*inputs, normalization, "eager"), run(*inputs, normalization, "triton")
    for name, truth, theirs, mine in zip(("masked", "map", "gradient"), exact, eager, ours):
        assert_as_accurate(mine, theirs, truth, inputs[0].shape[1] + inputs[2][0].numel(), name)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_within_twice_eagers_error(size, dtype, normalization):
    assert_accurate(make(size, dtype=dtype), normalization)


@pytest.mark.parametrize("colours", [1, 2, 4])
def test_colours_and_channels_last(colours):
    features, logits_u, images = make(SIZES[2], colours=colours)
    last = images.contiguous(memory_format=torch.channels_last)
    assert_accurate((features, logits_u, last))
    assert_accurate((features[:1], logits_u, images))


@pytest.mark.parametrize("size", [RESNET, VGG], ids=str)
def test_two_runs_give_identical_bits(size):
    inputs = make(size, batch=16)
    assert all(torch.equal(a, b) for a, b in zip(run(*inputs), run(*inputs)))


def test_an_image_does_not_depend_on_its_batch():
    inputs = make(RESNET, batch=5)
    together, alone = run(*inputs), run(*(t[3:4] for t in inputs))
    torch.testing.assert_close(together[1][3:4], alone[1], atol=0, rtol=0)


def test_float64_takes_the_plain_implementation():
    inputs = [t.double() for t in make(SIZES[2])]
    for ours, eager in zip(run(*inputs), run(*inputs, backend="eager")):
        torch.testing.assert_close(ours, eager, atol=1e-9, rtol=1e-9)


def test_constant_nan_and_empty():
    features, logits_u, images = make(SIZES[2])
    features[0], features[1, 5, 2, 2] = 0.3, torch.nan
    masked, saliency_map, gradient = run(features, logits_u, images)
    for result in (masked, saliency_map, gradient):
        assert torch.equal(result[0], torch.zeros_like(result[0]))
        assert result[1].isnan().all()
        assert result[2].isfinite().all()
    assert saliency_mask(features[:0], logits_u[:0], images[:0])[0].shape == (0, 3, 101, 67)


def test_masks_of_channels_and_steps():
    features, _, images = make(SIZES[2])
    channels = torch.tensor([[62, 0], [1, 2], [3, 3]], device="cuda")
    eager = channel_masks(features, images, channels, backend="eager")
    exact = channel_masks(features.double(), images.double(), channels, backend="eager")
    assert_as_accurate(channel_masks(features, images, channels), eager, exact, length=4)
    ranks = torch.stack([torch.randperm(101 * 67, device="cuda").view(101, 67) for _ in range(3)])
    for baseline in (torch.rand_like(images), torch.rand(1, 3, 1, 1, device="cuda")):
        ours = step_masks(ranks, images, baseline, [0, 500, 101 * 67])
        assert torch.equal(ours, step_masks(ranks, images, baseline, [0, 500, 101 * 67], backend="eager"))


def test_opcheck_and_compile():
    features, logits_u, images = make(SIZES[2])
    logits_u.requires_grad_()
    opcheck(torch.ops.opticam.saliency_mask, (features, logits_u, images, "range"))
    for backend in ("auto", "triton"):
        compiled = torch.compile(lambda *t, b=backend: saliency_mask(*t, backend=b)[0].sin(), fullgraph=True)
        torch.testing.assert_close(
            compiled(features, logits_u, images), saliency_mask(features, logits_u, images)[0].sin()
        )


def test_cpp_on_the_gpu_raises_with_the_reason():
    with pytest.raises(RuntimeError, match="it runs on cpu tensors only"):
        saliency_mask(*make(SIZES[2]), backend="cpp")


def iterate(optimizer, count):
    for _ in range(count):
        masked = optimizer.mask()
        optimizer.step(torch.autograd.grad((masked - 0.3).square().sum(), masked)[0])


def test_optimizer_follows_torchs_adam_and_can_be_captured():
    features, _, images = make(VGG)
    ours, captured = MaskOptimizer(features, images), MaskOptimizer(features, images)
    logits_u = torch.zeros(3, 512, device="cuda", requires_grad=True)
    peer = torch.optim.Adam([logits_u], lr=0.1)
    for _ in range(10):
        peer.zero_grad()
        (saliency_mask(features, logits_u, images, backend="eager")[0] - 0.3).square().sum().backward()
        peer.step()
    iterate(ours, 10)
    torch.testing.assert_close(ours.logits_u, logits_u.detach(), atol=2e-2, rtol=1e-2)
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        iterate(captured, 3)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        iterate(captured, 1)
    for _ in range(7):
        graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(captured.logits_u, ours.logits_u)
