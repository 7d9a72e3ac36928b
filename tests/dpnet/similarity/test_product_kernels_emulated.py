"""What the CUDA kernels make of a stored product, run on the CPU by the emulation: pieces, padding, ties, NaN."""

from __future__ import annotations

import ctypes
import math
import shutil

import pytest
import torch
from tolerances import error, rounding
from torch.nn.functional import normalize, pad

NAMES = {
    torch.float32: "float32",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
    torch.float64: "float64",
}
SIZES = [(5, 1, 3), (300, 2, 5), (129, 3, 49), (16, 2, 33)]
pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the emulation needs g++")


class Pointers(ctypes.Structure):
    """Addresses one after the other; None is null."""

    _fields_ = [(f"at_{number}", ctypes.c_void_p) for number in range(6)]


class ProductArguments(ctypes.Structure):
    _fields_ = [
        ("values", ctypes.c_void_p),
        *((name, ctypes.c_int64) for name in ("first_image", "images")),
        *((name, ctypes.c_int) for name in ("regions", "pitch", "parts", "first_part", "all_parts")),
    ]


def addresses(*tensors):
    return Pointers(*(None if tensor is None else tensor.data_ptr() for tensor in tensors))


def accumulated(dtype):
    return torch.float64 if dtype == torch.float64 else torch.float32


def pieces(product, parts_each, images_each):
    """Products of some parts and images with what says where they belong, the padding poisoned by large numbers."""
    batch, regions, parts = product.shape
    step = 16 // product.element_size()
    for part in range(0, parts, parts_each):
        for image in range(0, batch, images_each):
            some = product[image : image + images_each, :, part : part + parts_each]
            values = pad(some, (0, -some.shape[2] % step), value=100.0).contiguous()
            sizes = image, len(some), regions, values.shape[2], some.shape[2], part, parts
            yield values, ProductArguments(values.data_ptr(), *sizes)


def reduce(kernels, product, scale, parts_each, images_each, with_entropy=True):
    batch, regions, parts = product.shape
    dtype = accumulated(product.dtype)
    scores, argmax = torch.full((batch, parts), math.nan, dtype=dtype), torch.full((batch, parts), -1).int()
    entropy, log_partition = torch.full((2, batch, regions), math.nan, dtype=dtype)
    state = torch.full((batch * regions, 3), math.nan, dtype=dtype)
    shares = torch.full((parts, batch * regions, 3), math.nan, dtype=dtype)  # more than any tile's
    found = addresses(scores, argmax, shares, state, entropy, log_partition)
    for _values, arguments in pieces(product, parts_each, images_each):
        getattr(kernels, f"reduce_{NAMES[product.dtype]}")(
            ctypes.byref(arguments), ctypes.byref(found), ctypes.c_double(scale), int(with_entropy)
        )
    return scores, argmax, entropy, log_partition


def random(batch, regions, parts, dtype):
    return torch.randn(batch, regions, parts, generator=torch.Generator().manual_seed(parts)).to(dtype)


@pytest.mark.parametrize("dtype", NAMES, ids=str)
@pytest.mark.parametrize(("parts", "batch", "regions"), SIZES)
@pytest.mark.parametrize("cut", [False, True])
def test_best_regions_and_entropies(kernels, dtype, parts, batch, regions, cut):
    product = random(batch, regions, parts, dtype)
    parts_each, images_each = (max(parts // 3, 1), 1) if cut else (parts, batch)
    scores, argmax, entropy, log_partition = reduce(kernels, product, 2.0, parts_each, images_each)
    best = product.max(dim=1)
    assert torch.equal(scores, best.values.to(scores.dtype)) and torch.equal(argmax.long(), best.indices)
    logits = 2 * product.double()
    true = torch.special.entr(logits.softmax(dim=2)).sum(dim=2)
    assert error(entropy, true) <= rounding(true, parts, dtype=scores.dtype)
    assert error(log_partition, logits.logsumexp(2)) <= rounding(
        logits.logsumexp(2), parts, dtype=scores.dtype
    )
    alone = reduce(kernels, product, 2.0, parts_each, images_each, with_entropy=False)
    assert torch.equal(alone[0], scores) and torch.equal(alone[1], argmax) and alone[2].isnan().all()


@pytest.mark.parametrize("dtype", NAMES, ids=str)
def test_the_first_region_wins_ties_and_nan_wins_all(kernels, dtype):
    product = random(2, 20, 40, dtype)
    product[:, 10:] = product[:, :10]
    product[1, 14, :7] = product[1, 6, :7] = math.nan
    product[0, :, 3] = -math.inf
    scores, argmax, entropy, _ = reduce(kernels, product, 1.0, 40, 2)
    assert (argmax[1, :7] == 6).all() and scores[1, :7].isnan().all()
    assert argmax.max() < 10 and not scores[0].isnan().any()
    assert argmax[0, 3] == 0 and scores[0, 3] == -math.inf
    assert torch.equal(entropy.isnan(), product.isnan().any(dim=2))


@pytest.mark.parametrize("dtype", NAMES, ids=str)
@pytest.mark.parametrize(("parts", "batch", "regions"), SIZES)
@pytest.mark.parametrize("given", ["scores", "entropy", "both"])
def test_similarities_become_their_gradient(kernels, dtype, parts, batch, regions, given):
    product = random(batch, regions, parts, dtype)
    wide = accumulated(dtype)
    exact = product.double().requires_grad_()
    entropy = torch.special.entr((2 * exact).softmax(dim=2)).sum(dim=2)
    generator = torch.Generator().manual_seed(1)
    by_score = torch.randn(batch, parts, generator=generator, dtype=wide)
    by_entropy = torch.randn(batch, regions, generator=generator, dtype=wide)
    best, argmax = exact.max(dim=1)
    loss = (best * by_score).sum() * (given != "entropy") + (entropy * by_entropy).sum() * (given != "scores")
    true = torch.autograd.grad(loss, exact)[0]

    log_partition = (2 * product.double()).logsumexp(2).to(wide)
    argmax, found = argmax.int(), entropy.detach().to(wide)
    upstream = addresses(
        by_score if given != "entropy" else None,
        argmax,
        by_entropy if given != "scores" else None,
        found,
        log_partition,
    )
    slope = torch.full_like(product, math.nan)
    parts_each = max(parts // 2, 1)
    for values, arguments in pieces(product, parts_each, 1):
        getattr(kernels, f"slope_{NAMES[dtype]}")(
            ctypes.byref(arguments), ctypes.byref(upstream), ctypes.c_double(2.0)
        )
        first, count = arguments.first_part, arguments.parts
        slope[arguments.first_image, :, first : first + count] = values[0, :, :count]
        assert not values[0, :, count:].any()  # else what is added up over the padding would count
    stored = torch.finfo(dtype).eps * true.abs().max()
    assert error(slope, true) <= rounding(true, parts, dtype=wide) + stored


@pytest.mark.parametrize("dtype", NAMES, ids=str)
def test_unit_parts_end_with_zeros(kernels, dtype):
    parts = torch.randn(5, 9, dtype=accumulated(dtype), generator=torch.Generator().manual_seed(0))
    parts[2] = 0
    units, norms = torch.full((8, 9), math.nan, dtype=dtype), torch.full((5,), math.nan, dtype=parts.dtype)
    getattr(kernels, f"unit_parts_{NAMES[dtype]}")(
        *(ctypes.c_void_p(parts.data_ptr()), 5, 9, 9, 8),
        *(ctypes.c_void_p(units.data_ptr()), ctypes.c_void_p(norms.data_ptr())),
    )
    true = normalize(parts.double(), dim=1)
    assert error(units[:5], true) <= torch.finfo(dtype).eps + rounding(true, 9, dtype=parts.dtype)
    assert not units[5:].any() and not units[2].any()
    assert error(norms[[0, 1, 3, 4]] * parts[[0, 1, 3, 4]].double().norm(dim=1), torch.ones(4)) <= 1e-6


@pytest.mark.parametrize("dtype", NAMES, ids=str)
def test_terms_are_added_in_the_accumulation_dtype(kernels, dtype):
    terms, sums = random(1, 3, 77, dtype).flatten(), random(1, 3, 77, accumulated(dtype)).flatten()
    expected = sums + terms.to(sums.dtype)
    getattr(kernels, f"add_{NAMES[dtype]}")(
        ctypes.c_void_p(terms.data_ptr()), ctypes.c_int64(len(terms)), ctypes.c_void_p(sums.data_ptr())
    )
    assert torch.equal(sums, expected)


def test_the_gradient_of_unit_parts_becomes_that_of_parts(kernels):
    generator = torch.Generator().manual_seed(0)
    parts, gradient = torch.randn(2, 4, 150, generator=generator)
    exact = parts.double().requires_grad_()
    true = torch.autograd.grad((normalize(exact, dim=1) * gradient.double()).sum(), exact)[0]
    norms = 1 / parts.norm(dim=1)
    kernels.turn_parts(
        *(ctypes.c_void_p(parts.data_ptr()), ctypes.c_void_p(norms.data_ptr()), 4, 150),
        ctypes.c_void_p(gradient.data_ptr()),
    )
    assert error(gradient, true) <= rounding(true, 150)
