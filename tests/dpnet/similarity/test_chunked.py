"""Products in pieces: the loop that a GPU runs, too, here with the steps of the CPU, in however small a workspace."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from tolerances import assert_as_accurate, similarity_sums
from torch.nn.functional import normalize

from dpnet.similarity import chunked, library, part_similarity
from reproduce.benchmarks.memory import peak_bytes

pytestmark = pytest.mark.skipif(bool(library.LOAD_ERROR), reason="dpnet._C is not built here")
SHAPE = (129, 3, 49, 63)
DTYPES = [torch.float32, torch.float64, torch.bfloat16, torch.float16]
TEMPERATURE = 0.1


def inputs(dtype):
    generator = torch.Generator().manual_seed(0)
    parts, batch, regions, depth = SHAPE
    wide = torch.float64 if dtype == torch.float64 else torch.float32
    u = torch.randn(parts, depth, generator=generator, dtype=wide)
    return u, normalize(torch.randn(batch, regions, depth, generator=generator), dim=2).to(dtype)


def gradients(u, x, backend, with_entropy, need_regions):
    u, x = u.clone().requires_grad_(), x.clone().requires_grad_(need_regions)
    scores, _, entropy = part_similarity(u, x, TEMPERATURE if with_entropy else None, backend)
    generator = torch.Generator().manual_seed(1)
    loss = (scores * torch.randn(scores.shape, generator=generator)).sum()
    if with_entropy:
        loss = loss + (entropy * torch.randn(entropy.shape, generator=generator)).sum()
    return [scores, *torch.autograd.grad(loss, [u, x] if need_regions else [u])]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("workspace", [1, 20_000, 60_000, chunked.WORKSPACE])
@pytest.mark.parametrize("with_entropy", [False, True])
@pytest.mark.parametrize("need_regions", [False, True])
def test_pieces_of_any_size_are_as_accurate_as_eager(
    monkeypatch, dtype, workspace, with_entropy, need_regions
):
    monkeypatch.setattr(chunked, "WORKSPACE", workspace)
    u, x = inputs(dtype)
    exact = gradients(u.double(), x.double(), "eager", with_entropy, need_regions)
    eager = gradients(u, x, "eager", with_entropy, need_regions)
    ours = gradients(u, x, "chunked", with_entropy, need_regions)
    _, length = similarity_sums(SHAPE, TEMPERATURE)
    for name, mine, plain, true in zip(("scores", "parts", "regions"), ours, eager, exact):
        assert_as_accurate(mine, plain, true, SHAPE[3] if name == "scores" else length, name)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("workspace", [1, 20_000, chunked.WORKSPACE])
@pytest.mark.parametrize("with_scores", [False, True])
def test_the_gradient_of_a_mean_entropy_is_made_forward(monkeypatch, dtype, workspace, with_scores):
    monkeypatch.setattr(chunked, "WORKSPACE", workspace)
    monkeypatch.setattr(chunked, "keeps", lambda *arguments: False)
    monkeypatch.setattr(chunked, "backward", None)  # nothing is computed again
    u, x = inputs(dtype)

    def gradient(u, x, backend):
        u = u.clone().requires_grad_()
        scores, _, entropy = part_similarity(u, x, TEMPERATURE, backend)
        return torch.autograd.grad(entropy.mean() + with_scores * scores.square().sum(), u)[0]

    exact = gradient(u.double(), x.double(), "eager")
    _, length = similarity_sums(SHAPE, TEMPERATURE)
    assert_as_accurate(gradient(u, x, "chunked"), gradient(u, x, "eager"), exact, length)


@pytest.mark.parametrize("need_regions", [False, True])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_similarities_that_fit_are_kept_and_give_the_gradients_of_those_made_again(
    monkeypatch, dtype, need_regions
):
    u, x = inputs(dtype)
    products = []
    kernel = torch.ops.dpnet_kernels.chunked_backward

    def backward(*arguments):
        products.append(arguments[-2] is None)
        return kernel(*arguments)

    monkeypatch.setattr(torch.ops.dpnet_kernels, "chunked_backward", backward)
    kept = gradients(u, x, "chunked", True, need_regions)
    monkeypatch.setattr(chunked, "keeps", lambda *arguments: False)
    monkeypatch.setattr(chunked, "makes_gradient", lambda *arguments: False)
    again = gradients(u, x, "chunked", True, need_regions)
    assert products == [False, True]
    assert all(torch.equal(one, other) for one, other in zip(kept, again))


@pytest.mark.parametrize(
    ("sizes", "fits"), [((2000, 64, 49, 2048), True), ((2000, 64, 196, 512), False), ((8, 0, 49, 64), True)]
)
def test_what_is_kept_fits_in_the_workspace(sizes, fits):
    parts, batch, regions, depth = sizes
    u, x = torch.empty(parts, depth), torch.empty(batch, regions, depth, dtype=torch.bfloat16)
    assert chunked.keeps(u, x) == fits
    if not fits:
        with pytest.raises(RuntimeError, match="all similarities do not fit in the workspace"):
            torch.ops.dpnet_kernels.chunked_forward_keeping(u, x, TEMPERATURE, 1000)


LOSSES = {
    "scores": lambda scores, entropy: scores.sum(),
    "entropy": lambda scores, entropy: entropy.mean(),
    "both": lambda scores, entropy: scores.mean() + entropy.square().mean(),
}


def relative_errors(loss, factor, temperature, need_regions):
    """Of the gradients of a loss of float16 regions, times a factor: `chunked`'s and `eager`'s, over the norm."""
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(1500, 64, generator=generator)
    x = normalize(torch.randn(4, 49, 64, generator=generator), dim=2).half()

    def found(backend, u, x):
        wanted = [u.clone().requires_grad_(), x.clone().requires_grad_(need_regions)]
        scores, _, entropy = part_similarity(*wanted, temperature, backend)
        return torch.autograd.grad(factor * loss(scores, entropy), wanted if need_regions else wanted[:1])

    exact = found("eager", u.double(), x.double())
    for backend in ("chunked", "eager"):
        yield [
            ((one.double() - true).norm() / true.norm()).item()
            for one, true in zip(found(backend, u, x), exact)
        ]


@pytest.mark.parametrize("need_regions", [False, True])
@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize(
    ("wants", "temperature", "factors"),
    [
        ("scores", None, (1e-7, 1.0, 1e4)),
        ("entropy", 1.0, (1e-3, 1.0, 1e6)),
        ("entropy", 0.02, (1e-3, 1e3)),
        ("entropy", 100.0, (1.0,)),
        ("both", 0.1, (1e-4, 1e4)),
    ],
)
def test_float16_holds_gradients_of_any_size(monkeypatch, wants, temperature, factors, kept, need_regions):
    """What becomes of an upstream gradient before a product may lie far above float16, or below it."""
    monkeypatch.setattr(chunked, "_gathers", lambda regions: False)  # as on a GPU
    if not kept:
        monkeypatch.setattr(chunked, "keeps", lambda *arguments: False)
    for factor in factors:
        ours, eager = relative_errors(LOSSES[wants], factor, temperature, need_regions)
        assert all(mine <= 2 * plain + 1e-4 for mine, plain in zip(ours, eager)), (factor, ours, eager)


def test_float16_regions_of_any_size_leave_no_sum_infinite(monkeypatch):
    """64 images of elements around 1500: what they add up to is larger than float16."""
    monkeypatch.setattr(chunked, "_gathers", lambda regions: False)
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(50, 64, generator=generator).abs().requires_grad_()
    x = (1500 + 100 * torch.randn(64, 49, 64, generator=generator)).half()
    (found,) = torch.autograd.grad(part_similarity(u, x, None, "chunked")[0].sum(), u)
    monkeypatch.undo()
    (gathered,) = torch.autograd.grad(part_similarity(u, x, None, "chunked")[0].sum(), u)
    torch.testing.assert_close(found, gathered, rtol=0, atol=1e-3 * gathered.abs().max().item())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_no_other_dtype_is_scaled(monkeypatch, dtype):
    monkeypatch.setattr(chunked, "power_of_two", None)
    u, x = inputs(dtype)
    gradients(u, x, "chunked", True, True)


@pytest.mark.parametrize("value", [0.0, 1e-38, 1e-5, 0.75, 1.0, 3.0, 65504.0, 1e30, math.inf, math.nan])
def test_upstream_gradients_are_brought_near_one_by_a_power_of_two(value):
    largest = chunked.largest_of(torch.tensor([value, -value / 2]))
    scale = chunked.power_of_two(largest).item()
    assert math.frexp(scale)[0] == 0.5
    if 2.0**-64 <= largest <= 2.0**64:
        assert chunked.LARGEST / 2 <= largest.item() * scale < chunked.LARGEST


def test_kept_similarities_survive_every_pass_but_the_last():
    u, x = inputs(torch.bfloat16)
    u.requires_grad_()
    scores, _, entropy = part_similarity(u, x, TEMPERATURE, "chunked")
    loss = scores.square().sum() + entropy.square().sum()
    found = [torch.autograd.grad(loss, u, retain_graph=again)[0] for again in (True, True, False)]
    assert torch.equal(found[0], found[1]) and torch.equal(found[0], found[2])


def test_scores_alone_need_no_similarities_that_were_kept():
    u, x = inputs(torch.float32)
    u.requires_grad_()
    scores, _, entropy = part_similarity(u, x, TEMPERATURE, "chunked")
    (through_scores,) = torch.autograd.grad(scores.sum(), u)
    (alone,) = torch.autograd.grad(part_similarity(u, x, None, "chunked")[0].sum(), u)
    assert torch.equal(through_scores, alone) and entropy.grad_fn is not None


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_way_back_through_products_is_the_gather(monkeypatch, dtype):
    """A GPU takes the products for few regions, the gather for many; the CPU the gather always."""
    u, x = inputs(dtype)
    scores, argmax, entropy, log_partition = chunked.forward(u, x, None)
    grad = torch.randn(scores.shape, generator=torch.Generator().manual_seed(1)).to(scores.dtype)
    gathered = chunked.backward(grad, None, u, x, argmax, entropy, log_partition, None, True)
    monkeypatch.setattr(chunked, "_gathers", lambda regions: False)
    dense = chunked.backward(grad, None, u, x, argmax, entropy, log_partition, None, True)
    monkeypatch.undo()
    double = [t.double() for t in (grad, u, x)]
    exact = chunked.backward(
        double[0],
        None,
        double[1],
        double[2],
        argmax,
        *[e.double() for e in (entropy, log_partition)],
        None,
        True,
    )
    for one, other, true in zip(dense, gathered, exact):
        assert_as_accurate(one, other, true, SHAPE[0] + SHAPE[3], least=torch.finfo(dtype).eps / 2**-23)


def test_memory_is_bounded_by_the_workspace(monkeypatch):
    monkeypatch.setattr(chunked, "WORKSPACE", 2**20)
    u, x = torch.randn(3000, 64), torch.randn(40, 49, 64)  # similarities of 23.5 MB
    run = partial(part_similarity, u, x, TEMPERATURE, "chunked")
    run()  # loads what it needs
    results = 40 * 3000 * 8 + 3 * 40 * 49 * 4
    scratch = 2**20 * torch.get_num_threads()  # tiles of the CPU's steps and the library's own buffers
    with torch.no_grad():
        peak = peak_bytes(run, "cpu")
    assert peak < 2**20 + results + scratch


@pytest.mark.parametrize("layout", ["transposed", "every second", "expanded", "shifted"])
@pytest.mark.parametrize("backend", ["chunked", "cpp"])
def test_regions_need_not_be_rows_in_order(layout, backend):
    generator = torch.Generator().manual_seed(2)
    x = {
        "transposed": torch.randn(3, 16, 20, generator=generator).mT,
        "every second": torch.randn(3, 40, 16, generator=generator)[:, ::2],
        "expanded": torch.randn(1, 20, 16, generator=generator).expand(3, -1, -1),
        "shifted": torch.randn(3 * 20 * 16 + 1, generator=generator)[1:].view(3, 20, 16),
    }[layout]
    u = torch.randn(30, 16, generator=generator)
    for with_entropy in (False, True):
        found = gradients(u, x, backend, with_entropy, False)
        expected = gradients(u, x.clone(memory_format=torch.contiguous_format), backend, with_entropy, False)
        assert all(torch.equal(one, other) for one, other in zip(found, expected))
