"""Entropies from products of 16-bit whole numbers, where float32 products need be no more exact than TF32's."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import error, rounding
from torch.nn.functional import normalize

from dpnet.similarity import library, part_similarity

pytestmark = pytest.mark.skipif(
    bool(library.LOAD_ERROR) or "vnni" not in library.cpu_instructions(),
    reason="the C++ library is absent, or this processor has no AVX512-VNNI",
)

TAU = 0.07
PRODUCTS = torch.backends.mkldnn.matmul


@pytest.fixture(autouse=True)
def inexact_products():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    yield
    torch.set_float32_matmul_precision(before)


def inputs(parts, images, regions, depth, draw=torch.randn, dtype=torch.float32):
    generator = torch.Generator().manual_seed(parts + regions + depth)
    u, x = (draw(*shape, generator=generator) for shape in ((parts, depth), (images, regions, depth)))
    return u.requires_grad_(), normalize(x, dim=2).to(dtype)


def sparse(*shape, generator):
    """Few large elements, many small ones, as after a ReLU."""
    return torch.rand(*shape, generator=generator) ** 8


def ours(parts, regions):
    """Scores, entropy, and the parts' gradient of the mean entropy."""
    scores, _, entropy = part_similarity(parts, regions, TAU, "cpp")
    return scores, entropy, torch.autograd.grad(entropy.mean(), parts)[0]


def exactly(parts, regions):
    parts = parts.detach().double().requires_grad_()
    product = regions.double() @ normalize(parts, dim=1).T
    entropy = torch.special.entr((product / TAU).softmax(dim=2)).sum(dim=2)
    return product.amax(dim=1), entropy, torch.autograd.grad(entropy.mean(), parts)[0]


def rounded(values):
    """Float32 rounded to the 10 bits of TF32."""
    return ((values.float().contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32).double()


def with_tf32(parts, regions):
    """What the two products give when only their factors are rounded to TF32 and all else is exact."""
    unit, norm = normalize(parts.detach().double(), dim=1), parts.detach().double().norm(dim=1, keepdim=True)
    product = rounded(regions) @ rounded(unit).T
    share = (product / TAU).softmax(dim=2)
    entropy = torch.special.entr(share).sum(dim=2)
    slope = -share * (share.log() + entropy.unsqueeze(2)) / TAU / entropy.numel()
    gradient = rounded(slope).flatten(0, 1).T @ rounded(regions).flatten(0, 1)
    radial = (gradient * unit).sum(dim=1, keepdim=True) * unit
    return product.amax(dim=1), entropy, (gradient - radial) / norm


@pytest.mark.parametrize("draw", [torch.randn, torch.rand, sparse], ids=["normal", "positive", "sparse"])
@pytest.mark.parametrize("shape", [(300, 4, 49, 2048), (129, 3, 33, 63), (70, 2, 196, 200)], ids=str)
def test_closer_to_float64_than_tf32(shape, draw):
    parts, regions = inputs(*shape, draw)
    exact = exactly(parts, regions)
    for found, tf32, true in zip(ours(parts, regions), with_tf32(parts, regions), exact):
        assert (found - true).norm() <= (tf32 - true).norm() + 1e-6 * true.norm()


def test_other_settings_leave_float32_as_it_is():
    parts, regions = inputs(129, 3, 33, 63)
    strict = torch.ops.dpnet_kernels.forward(parts.detach(), regions, TAU, False)[2]
    assert not torch.equal(part_similarity(parts, regions, TAU, "cpp")[2], strict)
    torch.set_float32_matmul_precision("highest")
    with torch.no_grad():
        assert torch.equal(part_similarity(parts, regions, TAU, "cpp")[2], strict)
    PRODUCTS.fp32_precision = "tf32"
    try:
        assert not torch.equal(part_similarity(parts, regions, TAU, "cpp")[2], strict)
    finally:
        PRODUCTS.fp32_precision = "ieee"


def test_scores_alone_stay_exact():
    parts, regions = inputs(129, 3, 33, 63)
    scores = part_similarity(parts, regions, None, "cpp")[0]
    exact = exactly(parts, regions)[0]
    assert error(scores, exact) <= rounding(exact, parts.shape[1])


@settings(max_examples=40)
@given(
    parts=st.integers(1, 70), images=st.integers(1, 4), regions=st.integers(1, 70), depth=st.integers(32, 300)
)
def test_any_size(parts, images, regions, depth):
    u, x = inputs(parts, images, regions, depth)
    exact = exactly(u, x)
    # A product of unit rows may cancel: of their size, 1, are the terms that two factors of TF32 round by 2^-11 each.
    for found, tf32, true, least in zip(ours(u, x), with_tf32(u, x), exact, (1.0, 1.0, 1e-3)):
        assert error(found, true) <= 2 * error(tf32, true) + 2**-10 * max(true.abs().max().item(), least)


@pytest.mark.parametrize("depth", [32, 128, 129, 2048])
def test_the_largest_possible_sums_fit_32_bits(depth):
    """Equal vectors of equal elements: every product has the largest sum that the scaling allows."""
    parts = torch.ones(65, depth, requires_grad=True)
    regions = normalize(torch.ones(2, 49, depth), dim=2)
    scores, entropy, gradient = ours(parts, regions)
    assert torch.allclose(scores, torch.ones(2, 65), atol=3e-4)
    assert torch.allclose(entropy, torch.full((2, 49), 65.0).log(), atol=1e-4)
    assert gradient.abs().max() < 1e-4


@pytest.mark.parametrize("norm", [1e-25, 1e-3, 1.0, 1e15, 1e30])
def test_any_norm_of_parts(norm):
    """A part's norm drops out, however far from 1; but below 1e-12 it counts as 1e-12."""
    parts, regions = inputs(40, 2, 20, 64)
    scores, entropy, _ = ours(parts, regions)
    scaled = part_similarity(parts.detach() * norm, regions, TAU, "cpp")
    if norm < 1e-12:
        assert scaled[0].abs().max() < 1e-10
    else:
        assert torch.allclose(scaled[0], scores, atol=1e-4)
        assert torch.allclose(scaled[2], entropy, atol=1e-3)


def test_one_hot_regions_and_empty_ones():
    """A single element takes the largest whole number; zeros have similarity 0 to all parts."""
    parts, _ = inputs(40, 1, 1, 64)
    regions = torch.cat([torch.eye(64), torch.zeros(3, 64)]).unsqueeze(0)
    scores, entropy, gradient = ours(parts, regions)
    for found, true in zip((scores, entropy, gradient), exactly(parts, regions)):
        assert torch.allclose(found.double(), true, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_in_its_region(value):
    """Whole numbers have no infinity: such a call is multiplied in float32."""
    parts, regions = inputs(40, 2, 20, 64)
    spoilt = regions.clone()
    spoilt[1, 3, 5] = value
    scores, argmax, entropy = part_similarity(parts.detach(), spoilt, TAU, "cpp")
    exact = exactly(parts, regions)
    reached = parts[:, 5] > 0 if value > 0 else torch.ones(40, dtype=torch.bool)
    assert (argmax[1][reached] == 3).all() and not scores[1][reached].isfinite().any()
    assert torch.equal(
        ~entropy.isfinite(),
        torch.zeros(2, 20).index_put((torch.tensor(1), torch.tensor(3)), torch.tensor(1.0)).bool(),
    )
    others = torch.ones(2, 20, dtype=torch.bool)
    others[1, 3] = False
    assert error(entropy[others], exact[1][others]) <= 1e-3 and error(scores[0], exact[0][0]) <= 1e-3


def test_float16_regions_always_use_them_and_no_layout_changes_a_bit():
    parts, regions = inputs(129, 3, 33, 63, dtype=torch.float16)
    found = ours(parts, regions)
    torch.set_float32_matmul_precision("highest")
    for other in (regions, regions.mT.contiguous().mT, torch.cat([regions, regions], 2)[..., :63]):
        assert all(torch.equal(a, b) for a, b in zip(found, ours(parts, other)))


def test_same_bits_with_any_number_of_threads():
    parts, regions = inputs(300, 5, 30, 140)
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(ours(parts, regions))
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(a, b) for a, b in zip(found[0], other))
