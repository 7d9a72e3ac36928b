"""channel_masks and step_masks against plain loops, for every backend of this machine."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import assert_as_accurate

from opticam.masking import channel_masks, ops, saliency_mask, step_masks

BACKENDS = ["eager", "auto"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_channel_mask_is_the_saliency_mask_of_that_channel_alone(shape, inputs, backend):
    features, _, images = inputs(shape)
    chosen = [shape.channels - 1, 0]
    masks = channel_masks(features, images, chosen, backend)
    assert masks.shape == (shape.batch, 2, *images.shape[1:])
    for i, k in enumerate(chosen):
        channel = features[:, k : k + 1], torch.zeros(shape.batch, 1), images
        eager, exact = (
            saliency_mask(*given, backend="eager")[0] for given in (channel, [t.double() for t in channel])
        )
        assert_as_accurate(masks[:, i], eager, exact, length=4)  # an upsampled pixel adds up four


@pytest.mark.parametrize("backend", BACKENDS)
def test_as_many_channels_as_the_widest_networks_have(backend):
    """7392: regnet_y_128gf. Features that are all equal have the same map whatever their weights."""
    features, images = torch.rand(1, 1, 7, 7).expand(2, 7392, 7, 7), torch.rand(2, 3, 28, 28)
    one = saliency_mask(features[:, :1], torch.zeros(2, 1), images, backend=backend)[1]
    many = saliency_mask(features, torch.randn(2, 7392), images, backend=backend)[1]
    torch.testing.assert_close(many, one, atol=1e-4, rtol=0)
    last = channel_masks(features, images, [7391], backend)[:, 0]
    torch.testing.assert_close(last, images * one[:, None], atol=1e-6, rtol=0)


@pytest.mark.parametrize("backend", BACKENDS)
def test_channels_may_differ_between_images_and_features_be_shared(backend):
    features, images = torch.randn(1, 4, 3, 3), torch.rand(2, 3, 8, 7)
    masks = channel_masks(features, images, torch.tensor([[0, 2], [3, 3]]), backend)
    same = channel_masks(features.expand(2, -1, -1, -1), images, [0, 2, 3], backend)
    assert torch.equal(masks[0], same[0, :2])
    assert torch.equal(masks[1], same[1, [2, 2]])


def step_by_loops(ranks, images, baseline, steps):
    out = torch.empty(len(images), len(steps), *images.shape[1:], dtype=images.dtype)
    baseline = baseline.expand_as(images)
    for b in range(len(images)):
        for i, step in enumerate(steps):
            for y in range(images.shape[2]):
                for x in range(images.shape[3]):
                    source = images if ranks[b, y, x] < step else baseline
                    out[b, i, :, y, x] = source[b, :, y, x]
    return out


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rank_dtype", [torch.int64, torch.int32, torch.int16], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize(
    "size", [(2, 3, 5, 7), (3, 1, 1), (1, 3, 1, 1), (1,), (1, 1, 5, 1), (2, 1, 5, 7)], ids=str
)
def test_steps_equal_plain_loops(backend, rank_dtype, dtype, size):
    ranks = torch.stack([torch.randperm(35).view(5, 7) for _ in range(2)]).to(rank_dtype)
    images, baseline = torch.rand(2, 3, 5, 7).to(dtype), torch.rand(size).to(dtype)
    steps = [0, 1, 17, 35]
    assert torch.equal(
        step_masks(ranks, images, baseline, steps, backend), step_by_loops(ranks, images, baseline, steps)
    )


@pytest.mark.parametrize("backend", BACKENDS)
def test_first_and_last_step_are_baseline_and_image(backend):
    images, baseline = torch.rand(2, 3, 6, 5), torch.rand(2, 3, 6, 5)
    ranks = torch.stack([torch.randperm(30).view(6, 5) for _ in range(2)])
    chosen = step_masks(ranks, images, baseline, torch.tensor([0, 30]), backend)
    assert torch.equal(chosen[:, 0], baseline)
    assert torch.equal(chosen[:, 1], images)


@pytest.mark.parametrize("backend", BACKENDS)
def test_channels_last_and_strided_images_give_the_same_steps(backend):
    images = torch.rand(2, 3, 12, 10)
    ranks = torch.stack([torch.randperm(120).view(12, 10) for _ in range(2)])
    expected = step_masks(ranks, images, torch.zeros(1), [50], backend)
    last = images.contiguous(memory_format=torch.channels_last)
    strided = torch.rand(2, 3, 12, 20)
    strided[..., ::2] = images
    for other in (last, strided[..., ::2]):
        assert torch.equal(step_masks(ranks, other, torch.zeros(1), [50], backend), expected)


@pytest.mark.skipif(bool(ops.CPP_REASON), reason=ops.CPP_REASON or "built")
@given(data=st.data())
@settings(max_examples=40)
def test_range_maps_lie_in_the_unit_interval_and_reach_its_ends(data):
    h, w, height, width = (data.draw(st.integers(1, top)) for top in (17, 17, 70, 70))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 10**6)))
    features = torch.randn(2, 3, h, w, generator=generator) + data.draw(st.floats(-50, 50))
    _, maps = saliency_mask(features, torch.randn(2, 3, generator=generator), torch.ones(2, 1, height, width))
    assert ((maps >= 0) & (maps <= 1)).all()
    constant = maps.flatten(1).amax(1) == 0
    torch.testing.assert_close(maps.flatten(1).amax(1)[~constant], torch.ones_like(maps[~constant, 0, 0]))
    assert (maps.flatten(1).amin(1) == 0).all()
