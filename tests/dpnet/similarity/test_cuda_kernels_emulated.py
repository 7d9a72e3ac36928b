"""The CUDA kernels' own source, run on the CPU by an emulation of a block of threads: indices, masks, reductions."""

from __future__ import annotations

import ctypes
import math
import shutil

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tolerances import error, rounding
from torch.nn.functional import normalize

DTYPES = {"bf16": torch.bfloat16, "f16": torch.float16, "tf32": torch.float32, "tf32x3": torch.float32}
NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}
pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="the emulation needs g++")


class ForwardArguments(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("units", "regions", "scores", "argmax", "shares")),
        *((name, ctypes.c_int64) for name in ("region_pitch", "images")),
        *((name, ctypes.c_int) for name in ("parts", "all_parts", "regions_per_image", "images_per_block")),
        ("row_bytes", ctypes.c_int),
        ("scale", ctypes.c_float),
    ]


class ArgmaxArguments(ctypes.Structure):
    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("grad_scores", "argmax", "parts_data", "inverse_norms")),
        *((name, ctypes.c_int64) for name in ("image_stride", "region_stride", "images")),
        *((name, ctypes.c_int) for name in ("parts", "regions", "depth", "threads_per_row")),
    ]


def pointer(tensor):
    return ctypes.c_void_p(tensor.data_ptr())


def padded(regions):
    step = 16 // regions.element_size()
    return torch.nn.functional.pad(regions, (0, -regions.shape[-1] % step)).contiguous()


def unit_parts(kernels, parts, dtype):
    count, depth = parts.shape
    pitch = padded(parts.to(dtype)).shape[1]
    units, norms = torch.full((count, pitch), math.nan, dtype=dtype), torch.full((count,), math.nan)
    getattr(kernels, f"unit_parts_{NAMES[dtype]}")(
        pointer(parts), count, depth, pitch, count, pointer(units), pointer(norms)
    )
    return units, norms


def forward(
    kernels, parts, regions, name, temperature, images_per_block, hopper_tile=None, piece=(10**6, 10**6)
):
    """Scores, argmax, entropy and log-partition by the tile kernel, or, given its tile, by that of Hopper.

    piece: parts and images that go through the kernel at a time, as the host does where memory is to be bounded.
    """
    (batch, count), total = regions.shape[:2], len(parts)
    rows = padded(regions)
    scores, argmax = torch.full((batch, total), math.nan), torch.full((batch, total), -1).int()
    state = torch.full((batch * count, 3), math.nan)
    entropy, log_partition = torch.empty(batch, count), torch.empty(batch, count)
    bytes_per_row = rows.shape[2] * rows.element_size()
    for first in range(0, total, piece[0]):
        units, _ = unit_parts(kernels, parts[first : first + piece[0]].contiguous(), regions.dtype)
        tiles = -(-len(units) // 128)
        for image in range(0, batch, piece[1]):
            some = rows[image : image + piece[1]]
            shares = torch.full((tiles, len(some) * count, 3), math.nan)
            results = [scores[image, first:], argmax[image, first:]]
            pointers = [t.data_ptr() for t in (units, some, *results, shares)]
            sizes = [len(units), total, count, min(images_per_block, len(some)), bytes_per_row]
            arguments = ForwardArguments(*pointers, bytes_per_row, len(some), *sizes, 1 / temperature)
            math_index = list(DTYPES).index(name)
            if hopper_tile is None:
                failed = kernels.forward(ctypes.byref(arguments), math_index, 1)
            else:
                processors = 3  # so that one takes several pieces of work
                failed = kernels.hopper(ctypes.byref(arguments), math_index, hopper_tile, 1, processors)
            assert not failed
            if name == "tf32x3":
                kernels.not_finite(ctypes.byref(arguments))
            kernels.merge_shares(
                *(pointer(shares), ctypes.c_int64(len(some) * count), tiles, int(first == 0)),
                *(pointer(t) for t in (state[image * count :], entropy[image], log_partition[image])),
            )
    return scores, argmax, entropy, log_partition


def inputs(dtype, parts, batch, regions, depth):
    generator = torch.Generator().manual_seed(parts + regions)
    u = torch.randn(parts, depth, generator=generator)
    x = normalize(torch.randn(batch, regions, depth, generator=generator), dim=2)
    return u, x.to(dtype)


CASES = [
    ("bf16", 129, 3, 49, 63, 2),
    ("f16", 70, 5, 37, 130, 4),
    ("tf32", 40, 2, 140, 40, 1),
    ("tf32x3", 129, 5, 13, 63, 5),
    ("tf32x3", 33, 2, 70, 100, 1),
    ("bf16", 10, 7, 1, 200, 3),
    ("bf16", 20, 1, 300, 24, 1),
]


HOPPER_CASES = [
    ("bf16", 129, 3, 49, 63, 2, 200),
    ("f16", 70, 5, 60, 300, 4, 256),
    ("tf32", 40, 2, 140, 40, 1, 200),
    ("tf32", 140, 4, 49, 200, 4, 200),
    ("bf16", 300, 2, 300, 72, 1, 256),
    ("bf16", 10, 3, 196, 24, 1, 200),
    ("tf32x3", 129, 5, 49, 100, 2, 128),
    ("tf32x3", 40, 2, 140, 300, 1, 128),
]
ALL_CASES = [(*case, None) for case in CASES] + HOPPER_CASES


@pytest.mark.parametrize(
    ("name", "parts", "batch", "regions", "depth", "images_per_block", "hopper"), ALL_CASES
)
def test_forward_agrees_with_float64(kernels, name, parts, batch, regions, depth, images_per_block, hopper):
    u, x = inputs(DTYPES[name], parts, batch, regions, depth)
    found = forward(kernels, u, x, name, 0.1, images_per_block, hopper)
    scores, argmax, entropy, log_partition = found
    exact = normalize(u.double(), dim=1) @ x.double().mT
    # Factors of unit norm, each rounded to so many bits (Hopper cuts off what three TF32 products leave); what adds
    # them up is float32.
    factors = {
        "bf16": 2**-8,
        "f16": 2**-11,
        "tf32": 2**-11,
        "tf32x3": 2**-21 if hopper else 2**-22,
    }[name]
    tolerance = 2 * factors + rounding(exact.amax(dim=2), depth)
    assert (scores - exact.amax(dim=2)).abs().max() < tolerance
    reached = exact.gather(2, argmax.long().unsqueeze(2)).squeeze(2)
    assert (reached - exact.amax(dim=2)).abs().max() < 2 * tolerance
    true_entropy = torch.special.entr((exact / 0.1).softmax(dim=1)).sum(dim=1)
    assert (entropy - true_entropy).abs().max() < 10 * tolerance
    assert (log_partition - (exact / 0.1).logsumexp(dim=1)).abs().max() < 10 * tolerance


@pytest.mark.parametrize("hopper", [None, 200])
def test_tf32_is_rounded_and_not_cut_off(kernels, hopper):
    """Four halves make a unit part that no rounding touches: what is left is that of the regions."""
    places = torch.rand(140, 64, generator=torch.Generator().manual_seed(0)).topk(4).indices
    _, x = inputs(torch.float32, 1, 2, 49, 64)
    rounded = ((x.view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32).double()
    u = torch.zeros(140, 64).scatter_(1, places, 0.5)
    scores, *_ = forward(kernels, u, x, "tf32", 0.1, 2, hopper)
    exact = (u.double() @ rounded.mT).amax(dim=2)
    assert error(scores, exact) <= rounding(exact, 4)


@pytest.mark.parametrize("hopper", [None, 200])
def test_pieces_make_the_same_of_parts_and_images(kernels, hopper):
    u, x = inputs(torch.bfloat16, 300, 5, 49, 63)
    whole = forward(kernels, u, x, "bf16", 0.1, 2, hopper)
    pieces = forward(kernels, u, x, "bf16", 0.1, 2, hopper, piece=(128, 2))
    assert torch.equal(whole[0], pieces[0]) and torch.equal(whole[1], pieces[1])
    for one, other in zip(whole[2:], pieces[2:]):  # the softmax of tiles is merged in the same order
        assert torch.equal(one, other)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 20_000), st.integers(0, 20_000), st.sampled_from([1, 128]))
def test_pieces_are_even_and_as_few_as_fit(kernels, count, fit, step):
    kernels.piece_of.restype = ctypes.c_int64
    size = kernels.piece_of(*(ctypes.c_int64(n) for n in (count, fit, step)))
    most = max(fit // step * step, step)
    assert size % step == 0 and size <= most + step - 1
    assert -(-count // size) <= -(-count // most)


@pytest.mark.parametrize("hopper", [None, 200, 256])
def test_forward_ties_and_nan(kernels, hopper):
    u, x = inputs(torch.bfloat16, 40, 3, 20, 48)
    x[:, 10:] = x[:, :10]
    x[1, 4, 2] = x[1, 6, 3] = math.nan
    scores, argmax, entropy, _ = forward(kernels, u, x, "bf16", 0.1, 2, hopper)
    assert argmax.max() < 10
    assert scores[1].isnan().all() and (argmax[1] == 4).all()
    assert not scores[[0, 2]].isnan().any()
    assert torch.equal(entropy.isnan(), x.isnan().any(dim=2))


@pytest.mark.parametrize(
    ("name", "hopper"), [("tf32x3", None), ("tf32x3", 128), ("tf32", None), ("tf32", 200)]
)
@pytest.mark.parametrize("value", [math.inf, -math.inf, 3.402e38])
def test_one_infinite_number_leaves_every_other_region_its_scores(kernels, name, hopper, value):
    """Parts that look its way score infinity there, all others what they do without that region."""
    if name == "tf32" and math.isfinite(value):
        value = 3e38  # a larger one is rounded to infinity
    u, x = inputs(torch.float32, 140, 2, 20, 64)
    x[1, 3, 7] = value
    scores, argmax, entropy, _ = forward(kernels, u, x, name, 0.1, 2, hopper, piece=(128, 2))
    others = [region for region in range(20) if region != 3]
    rest = normalize(u.double(), dim=1) @ x.double().mT
    towards = u[:, 7] * value > 0
    assert (argmax[1][towards] == 3).all() and (scores[1][towards] > 1e35).all()
    assert not math.isinf(value) or scores[1][towards].isinf().all()
    best = rest[1][:, others].amax(dim=1)[~towards]
    factors = 2**-11 if name == "tf32" else 2**-21
    assert error(scores[1][~towards], best) <= 2 * factors + rounding(best, 64)
    assert error(scores[0], rest[0].amax(dim=1)) <= 2 * factors + rounding(best, 64)
    assert entropy[1, others].isfinite().all() and entropy[0].isfinite().all()


@pytest.mark.parametrize("hopper", [None, 200, 256])
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 599), max_size=4))
def test_the_first_nan_of_an_image_that_takes_several_tiles(kernels, hopper, places):
    u, x = inputs(torch.bfloat16, 20, 2, 300, 24)
    x.view(600, 24)[places, 5] = math.nan
    scores, argmax, entropy, _ = forward(kernels, u, x, "bf16", 0.1, 2, hopper)
    is_nan = x.isnan().any(dim=2)
    for image in range(2):
        if is_nan[image].any():
            assert scores[image].isnan().all() and (argmax[image] == is_nan[image].int().argmax()).all()
        else:
            exact = normalize(u.double(), dim=1) @ x[image].double().mT
            assert error(scores[image], exact.amax(dim=1)) <= 2 * 2**-8
    assert torch.equal(entropy.isnan(), is_nan)


@pytest.mark.parametrize("hopper", [None, 128])
@pytest.mark.parametrize("parts", [5, 130, 256])
def test_entropy_of_a_sharp_softmax(kernels, hopper, parts):
    """Most weights are no normal numbers; in the last tile of parts whole warps have none."""
    temperature = 1 / 2000
    u, x = inputs(torch.float32, parts, 2, 49, 24)
    entropy, log_partition = forward(kernels, u, x, "tf32x3", temperature, 2, hopper)[2:]
    exact = normalize(u.double(), dim=1) @ x.double().mT / temperature
    tolerance = 2 * (2 * 2**-21 / temperature + rounding(exact, 24))  # of the difference of two logits
    true_entropy = torch.special.entr(exact.softmax(dim=1)).sum(dim=1)
    assert error(log_partition, exact.logsumexp(dim=1)) <= tolerance
    # dH = -sum of pi (log pi + H) dlogit, at most 2 H times the largest change of a logit.
    assert error(entropy, true_entropy) <= tolerance * (1 + 2 * true_entropy.max().item())


@pytest.mark.parametrize("dtype", NAMES, ids=str)
@pytest.mark.parametrize(
    ("parts", "batch", "regions", "depth"), [(5, 3, 7, 63), (3, 130, 2, 200), (2, 2, 3, 1100)]
)
def test_backward_through_the_argmax(kernels, dtype, parts, batch, regions, depth):
    u, x = inputs(dtype, parts, batch, regions, depth)
    exact = [u.double().requires_grad_(), x.double().requires_grad_()]
    product = normalize(exact[0], dim=1) @ exact[1].mT
    best, argmax = product.max(dim=2)
    weights = torch.randn(batch, parts, generator=torch.Generator().manual_seed(1))
    true = torch.autograd.grad((best * weights).sum(), exact)

    rows, argmax = padded(x), argmax.int()
    norms = unit_parts(kernels, u, torch.float32)[1]
    vectors = rows.shape[2] * rows.element_size() // 16
    threads = min(128, 1 << (vectors - 1).bit_length())
    grads = torch.full_like(u, math.nan), torch.full_like(x, math.nan)
    arguments = ArgmaxArguments(
        *(t.data_ptr() for t in (weights, argmax, u, norms)),
        *(rows.stride(0), rows.stride(1), batch, parts, regions, depth, threads),
    )
    getattr(kernels, f"grad_parts_{NAMES[dtype]}")(ctypes.byref(arguments), pointer(rows), pointer(grads[0]))
    getattr(kernels, f"grad_regions_{NAMES[dtype]}")(ctypes.byref(arguments), pointer(grads[1]))
    assert error(grads[0], true[0]) <= rounding(true[0], batch + depth)
    stored = torch.finfo(dtype).eps * true[1].abs().max()
    assert error(grads[1], true[1]) <= rounding(true[1], parts + depth) + stored


@pytest.mark.parametrize("regions", [1, 49, 140, 196, 1015])
def test_blocks_take_images_only_while_all_processors_have_work(kernels, regions):
    chosen = [
        kernels.images_per_block_for(
            *(ctypes.c_int64(n) for n in (regions, batch, 16)), ctypes.c_int(128), ctypes.c_int(132)
        )
        for batch in (1, 64, 4096)
    ]
    assert chosen[0] == 1 and all(1 <= count <= 16 for count in chosen)
    tiles = -(-chosen[2] * regions // 128)
    assert tiles * 128 <= 1.15 * chosen[2] * regions or regions < 8


@pytest.mark.parametrize(
    ("regions", "images", "part_tiles", "tile", "taken"),
    [
        (196, 64, 16, 200, 1),
        (49, 64, 16, 200, 4),
        (1015, 64, 16, 256, 1),
        (49, 1, 6, 200, 1),
        (4, 4096, 1, 200, 32),
        (49, 64, 16, 128, 2),
    ],
)
def test_hopper_leaves_few_columns_empty(kernels, regions, images, part_tiles, tile, taken):
    kernels.hopper_work_for.restype = ctypes.c_int64
    sizes = (ctypes.c_int64(n) for n in (regions, images, part_tiles))
    found = kernels.hopper_work_for(*sizes, ctypes.c_int(132), ctypes.c_int(tile == 128))
    assert divmod(found, 256) == (tile, taken)
