"""Scores alone in float32, which the CPU may screen with whole numbers: the best region must still be the best."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import assert_close, error, rounding
from torch.nn.functional import normalize

from dpnet.similarity import library, part_similarity

pytestmark = pytest.mark.skipif(bool(library.LOAD_ERROR), reason="dpnet._C is not built here")
SHAPES = [
    (129, 3, 49, 63),
    (670, 2, 140, 33),
    (65, 1, 1015, 128),
    (64, 5, 196, 512),
    (31, 2, 16, 2048),
    (7, 4, 1, 64),
    (40, 1, 300, 2049),
]


def screened(parts, regions):
    """Scores and argmax without a temperature."""
    return part_similarity(parts, regions, backend="cpp")[:2]


def similarities(parts, regions):
    """S in float64, [B, P, R]."""
    return normalize(parts.detach().double(), dim=1) @ regions.detach().double().mT


def random_inputs(parts, batch, regions, depth, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(batch, regions, depth, generator=generator)
    return torch.randn(parts, depth, generator=generator), normalize(x, dim=2)


def assert_best(parts, regions):
    """The scores, and what the chosen regions reach in float64, are the maximum up to float32's rounding."""
    scores, argmax = screened(parts, regions)
    exact = similarities(parts, regions)
    norms = regions.double().norm(dim=2).amax(dim=1)[:, None]
    allowed = norms * rounding(torch.ones(1), parts.shape[1])
    reached = exact.gather(2, argmax.long().unsqueeze(2)).squeeze(2)
    assert (reached >= exact.amax(dim=2) - allowed).all()
    assert ((scores.double() - reached).abs() <= allowed).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_scores_and_gradients_against_float64(shape, dtype):
    parts, regions = (t.requires_grad_() for t in random_inputs(*shape))
    x = regions.detach().to(dtype).requires_grad_()
    assert_best(parts.detach(), x.detach())

    scores, argmax = screened(parts, x)
    weights = torch.rand(scores.shape, generator=torch.Generator().manual_seed(1))
    ours = torch.autograd.grad((scores * weights).sum(), (parts, x))
    exact = [t.detach().double().requires_grad_() for t in (parts, x)]
    best = (normalize(exact[0], dim=1) @ exact[1].mT).gather(2, argmax.long().unsqueeze(2)).squeeze(2)
    theirs = torch.autograd.grad((best * weights).sum(), exact)
    length = shape[0] + shape[1] * shape[2] + shape[3]
    assert error(ours[0], theirs[0]) <= rounding(theirs[0], length)
    stored = torch.finfo(dtype).eps * theirs[1].abs().max()  # regions of half precision have such a gradient
    assert error(ours[1], theirs[1]) <= rounding(theirs[1], length) + stored


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_plain_product_finds_the_same(shape):
    parts, regions = random_inputs(*shape)
    scores, argmax = screened(parts, regions)
    plain = part_similarity(parts, regions, 1.0, "cpp")
    assert_close(scores, plain[0], shape[3])
    top = similarities(parts, regions).topk(min(2, regions.shape[1]), dim=2).values
    clear = top[..., 0] - top[..., -1] > 2 * rounding(torch.ones(1), shape[3])
    assert torch.equal(argmax[clear], plain[1][clear])


@given(seed=st.integers(0, 2**20), exponent=st.floats(-6.5, -2.0), others=st.integers(14, 80))
@settings(max_examples=40)
def test_a_difference_below_a_step_of_the_screen_still_decides(seed, exponent, others):
    generator = torch.Generator().manual_seed(seed)
    depth = int(torch.randint(32, 600, (), generator=generator))
    part = normalize(torch.randn(1, depth, generator=generator, dtype=torch.float64), dim=1)
    base = normalize(part + 0.5 * torch.randn(1, depth, generator=generator, dtype=torch.float64), dim=1)
    near = base + torch.linspace(0, 10**exponent, others, dtype=torch.float64)[:, None] * part
    regions = near[torch.randperm(others, generator=generator)].float()[None]
    assert_best(part.float(), torch.cat([regions, -regions, regions.flip(1)], dim=1))


@given(
    seed=st.integers(0, 2**20),
    count=st.integers(1, 150),
    regions=st.integers(16, 220),
    depth=st.integers(32, 300),
    power=st.sampled_from([0, 1, 3, 9]),
)
@settings(max_examples=40)
def test_any_size_and_however_heavy_the_tails(seed, count, regions, depth, power):
    parts, x = random_inputs(count, 2, regions, depth, seed)
    assert_best(parts.sign() * parts.abs() ** power, normalize(x.sign() * x.abs() ** power, dim=2))


@pytest.mark.parametrize("low, high", [(-30, -25), (-21, -19), (-3, 3), (19, 21), (25, 30)])
def test_norms_far_from_one(low, high):
    parts, regions = random_inputs(129, 3, 49, 63)
    parts *= torch.logspace(-10, 25, 129)[:, None]
    for image in range(3):
        regions[image] *= torch.logspace(low, high, 49)[:, None]
    assert_best(parts, regions)


def test_parts_and_regions_of_norm_zero():
    parts, regions = random_inputs(70, 2, 49, 64)
    parts[3] = 0
    regions[0] = -parts[:1].abs()
    regions[0, 20:30] = 0
    scores, argmax = screened(parts.abs(), regions)
    assert not scores[0].any() and not scores[:, 3].any()
    others = torch.arange(70) != 3
    assert (argmax[0, others] == 20).all() and not argmax[:, 3].any()


def test_equal_regions_take_the_lowest_index():
    parts, regions = random_inputs(200, 2, 50, 512)
    single = screened(parts, regions)
    repeated = screened(parts, regions.repeat(1, 9, 1))
    assert torch.equal(repeated[0], single[0]) and torch.equal(repeated[1], single[1])
    equal = screened(parts, regions[:, :1].expand(2, 450, 512))
    assert not equal[1].any()


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf], ids=str)
def test_what_is_not_finite_stays_in_its_region_and_part(value):
    parts, regions = random_inputs(130, 3, 49, 64)
    regions[1, 6, 2] = regions[1, 8, 3] = value
    parts[5, 7] = value
    scores, argmax = screened(parts, regions)
    expected = (normalize(parts, dim=1) @ regions.mT).max(dim=2)
    assert_close(scores, expected[0], parts.shape[1])
    assert torch.equal(argmax.long(), expected[1])


@pytest.mark.parametrize("batch", [1, 5])
def test_the_bits_depend_on_neither_threads_nor_batch(batch):
    parts, regions = random_inputs(1500, batch, 140, 256)
    together = screened(parts, regions)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1 if threads > 1 else 2)
        alone = screened(parts, regions[-1:].mT.contiguous().mT)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(together[0][-1:], alone[0]) and torch.equal(together[1][-1:], alone[1])
