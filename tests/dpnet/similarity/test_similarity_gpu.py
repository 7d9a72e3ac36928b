"""Part similarity on a GPU: accuracy in each dtype, awkward inputs, identical bits, memory, CUDA graphs."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch
from tolerances import assert_as_accurate, error, rounding, similarity_sums
from torch.nn.functional import normalize

from dpnet.model.constraints import assignment
from dpnet.similarity import chunked, library, part_similarity
from dpnet.similarity.backends import IMPLEMENTATIONS
from reproduce.benchmarks.similarity.cases import PRECISIONS

pytestmark = pytest.mark.skipif(bool(library.cuda_obstacle()), reason=library.cuda_obstacle() or "it runs")
BACKENDS = ["cuda", "hopper", "chunked", "auto"]
NAMED = BACKENDS[:-1]
SHAPES = [(129, 3, 49, 63), (7, 40, 1, 64), (670, 5, 140, 33), (65, 1, 1015, 128), (200, 40, 196, 2048)]


def make(parts, batch, regions, depth, dtype=torch.float32):
    generator = torch.Generator("cuda").manual_seed(parts + regions)
    u = torch.randn(parts, depth, generator=generator, device="cuda")
    x = normalize(torch.randn(batch, regions, depth, generator=generator, device="cuda"), dim=2)
    return u.requires_grad_(), x.to(dtype).requires_grad_()


def skip_unless_it_runs(backend, dtype):
    """Hopper's kernel is for one capability."""
    reason = backend != "auto" and IMPLEMENTATIONS[backend].obstacle("cuda", dtype)
    if reason:
        pytest.skip(reason)


def plain(parts, regions, temperature):
    product = normalize(parts, dim=1).to(regions.dtype) @ regions.mT
    entropy = torch.special.entr((product / temperature).softmax(dim=1)).sum(dim=1)
    return *product.max(dim=2), entropy, product


@pytest.mark.parametrize("temperature", [None, 0.1])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("precision", PRECISIONS, ids=lambda precision: precision.name)
@pytest.mark.parametrize("backend", BACKENDS)
def test_within_twice_the_error_of_eager(backend, precision, shape, temperature):
    skip_unless_it_runs(backend, precision.dtype)
    if precision.name == "tf32":  # cuBLAS takes TF32 only where rows are whole groups of 16 bytes
        shape = (*shape[:3], -(-shape[3] // 4) * 4)
    parts, regions = make(*shape, precision.dtype)
    exact_inputs = [t.detach().double().requires_grad_() for t in (parts, regions)]
    exact = plain(*exact_inputs, temperature or 1.0)
    with precision.active():
        eager = plain(parts, regions, temperature or 1.0)
        scores, argmax, entropy = part_similarity(parts, regions, temperature, backend)
        loss = scores.square().sum() + (0 if entropy is None else entropy.sum())
        ours = torch.autograd.grad(loss, (parts, regions))
        loss = eager[0].float().square().sum() + (0 if temperature is None else eager[2].float().sum())
        theirs = torch.autograd.grad(loss, (parts, regions))
    depth, (entropy_length, gradient_length) = shape[-1], similarity_sums(shape, temperature or 1.0)
    assert_as_accurate(scores, eager[0], exact[0], depth, "scores")
    reached = exact[3].gather(2, argmax.long().unsqueeze(2)).squeeze(2)
    # Two scores that differ by less than both their errors may change places.
    assert error(reached, exact[0]) <= 4 * error(eager[0], exact[0]) + 2 * rounding(exact[0], depth)
    if entropy is not None:
        assert_as_accurate(entropy, eager[2], exact[2], entropy_length, "entropy", least=1.0)

    # A gradient belongs to the argmax that its forward pass found: float64 is sent the same way.
    def gradient_errors(gradients, found):
        best = exact[3].gather(2, found.long().unsqueeze(2)).squeeze(2)
        loss = best.square().sum() + (0 if temperature is None else exact[2].sum())
        true = torch.autograd.grad(loss, exact_inputs, retain_graph=True)
        return [
            (error(gradient, truth), rounding(truth, gradient_length))
            for gradient, truth in zip(gradients, true)
        ]

    for (own, allowed), (eagers, _) in zip(gradient_errors(ours, argmax), gradient_errors(theirs, eager[1])):
        assert own <= 2 * eagers + allowed


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("backend", NAMED)
def test_ties_take_the_lowest_region_and_nan_stays_in_its_image(backend, dtype):
    skip_unless_it_runs(backend, dtype)
    parts, regions = (t.detach() for t in make(150, 3, 30, 72, dtype))
    regions = regions.repeat(1, 3, 1)
    assert part_similarity(parts, regions, backend=backend)[1].max() < 30
    regions[1, 4, 2] = regions[1, 6, 3] = math.nan
    scores, argmax, entropy = part_similarity(parts, regions, 0.1, backend)
    assert scores[1].isnan().all() and (argmax[1] == 4).all()
    assert not scores[[0, 2]].isnan().any()
    assert torch.equal(entropy.isnan(), regions.isnan().any(dim=2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("backend", NAMED)
def test_an_infinite_number_is_the_largest_of_parts_that_look_its_way(backend, dtype):
    skip_unless_it_runs(backend, dtype)
    parts, regions = (t.detach() for t in make(150, 3, 30, 72, dtype))
    without = part_similarity(parts, torch.cat([regions[:, :4], regions[:, 5:]], 1), 0.1, backend)[0]
    regions[1, 4, 7] = math.inf
    scores, argmax, entropy = part_similarity(parts, regions, 0.1, backend)
    towards = parts[:, 7] > 0
    assert (argmax[1][towards] == 4).all() and scores[1][towards].isposinf().all()
    torch.testing.assert_close(scores[1][~towards], without[1][~towards], atol=1e-2, rtol=0)
    assert scores[[0, 2]].isfinite().all() and torch.equal(entropy.isfinite(), regions.isfinite().all(dim=2))


@pytest.mark.parametrize("need_regions", [False, True])
@pytest.mark.parametrize("factor", [1e-3, 1.0, 1e6])
def test_float16_holds_gradients_of_any_size(factor, need_regions):
    """Of a mean over 3136 entropies of 2000 parts, times a factor."""
    parts, regions = make(2000, 64, 49, 128, torch.float16)
    regions.requires_grad_(need_regions)

    def gradients(backend, u, x):
        wanted = (u, x) if need_regions else (u,)
        return torch.autograd.grad(factor * part_similarity(u, x, 1.0, backend)[2].mean(), wanted)

    wide = [t.detach().double().requires_grad_(t.requires_grad) for t in (parts, regions)]
    found = (
        gradients("chunked", parts, regions),
        gradients("eager", parts, regions),
        gradients("eager", *wide),
    )
    for ours, eager, exact in zip(*found):
        assert (ours - exact).norm() <= 2 * (eager - exact).norm() + 1e-4 * exact.norm()


@pytest.mark.parametrize("backend", NAMED)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_memory_layout_and_empty_batch(backend, dtype):
    skip_unless_it_runs(backend, dtype)
    normal = partial(torch.randn, generator=torch.Generator("cuda").manual_seed(0), device="cuda")
    features = normal(3, 40, 7, 7, dtype=dtype)
    parts = normal(66, 40)[::2].requires_grad_()
    wide = normal(3, 9, 80, dtype=dtype)
    # cuBLAS may add up in another order where rows are aligned to less, and `chunked` rounds to this dtype.
    step = max(torch.finfo(dtype).eps, 40 * torch.finfo(torch.float32).eps)
    one_row, one_image = wide[:1, :1, :40].expand(3, 9, 40), wide[:1, :, :40].expand(3, 9, 40)
    for x in (features.flatten(2).mT, one_row, one_image, wide[:, :, ::2], wide[:, 1:, 3:43]):
        strided, plain_copy = (part_similarity(parts, y, 0.5, backend) for y in (x, x.contiguous()))
        largest = plain_copy[0].abs().max().item()
        torch.testing.assert_close(strided[0], plain_copy[0], rtol=0, atol=step * largest)
        # |dH| <= 2 log P max |dS| / temperature
        torch.testing.assert_close(strided[2], plain_copy[2], rtol=0, atol=4 * math.log(33) * step * largest)
    scores, _, entropy = part_similarity(parts, features[:0].flatten(2).mT, 0.5, backend)
    (scores.sum() + entropy.sum()).backward()
    assert scores.shape == (0, 33) and not parts.grad.any()


@pytest.mark.parametrize("temperature", [None, 0.1])
@pytest.mark.parametrize("backend", BACKENDS)
def test_two_runs_give_identical_bits(backend, temperature):
    skip_unless_it_runs(backend, torch.bfloat16)

    def run():
        parts, regions = make(300, 20, 196, 256, torch.bfloat16)
        scores, argmax, entropy = part_similarity(parts, regions, temperature, backend)
        loss = scores.sum() + (0 if entropy is None else entropy.sum())
        return scores, argmax, *torch.autograd.grad(loss, (parts, regions))

    assert all(torch.equal(first, second) for first, second in zip(run(), run()))


@pytest.mark.parametrize("temperature", [None, 0.1])
@pytest.mark.parametrize("backend", NAMED)
def test_a_captured_graph_on_another_stream_replays_on_new_inputs(backend, temperature):
    skip_unless_it_runs(backend, torch.bfloat16)
    parts, regions = (t.detach() for t in make(300, 20, 49, 256, torch.bfloat16))
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        part_similarity(parts, regions, temperature, backend)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured = part_similarity(parts, regions, temperature, backend)
    regions.copy_(regions.flip(0))
    graph.replay()
    expected = part_similarity(parts, regions, temperature, backend)
    assert all(torch.equal(a, b) for a, b in zip(captured, expected) if b is not None)


def training_step(parts, regions, backend, weigh):
    """The parts' gradient, and by which regions it came."""
    scores, argmax, entropy = part_similarity(parts, regions, 0.1, backend)
    return torch.autograd.grad(weigh(entropy) + scores.square().sum(), parts)[0], argmax


def exact_step(parts, regions, argmax, weigh):
    """The same in float64, sent through the regions of this argmax."""
    parts = parts.detach().double().requires_grad_()
    *_, entropy, product = plain(parts, regions.double(), 0.1)
    best = product.gather(2, argmax.long().unsqueeze(2))
    return torch.autograd.grad(weigh(entropy) + best.square().sum(), parts)[0]


@pytest.mark.parametrize("kept", [False, True], ids=["gradient made forward", "similarities kept"])
@pytest.mark.parametrize("precision", PRECISIONS, ids=lambda precision: precision.name)
@pytest.mark.parametrize("weigh", [assignment, torch.mean, lambda entropy: entropy.square().sum()])
def test_training_without_similarities_made_again(monkeypatch, precision, weigh, kept):
    """Where they are few they are kept. Else the gradient of a mean is made forward; DP-Net's own waits for nothing."""
    monkeypatch.setattr(chunked, "keeps", lambda *arguments: kept)
    shape = 300, 20, 196, 256
    parts, regions = make(*shape, precision.dtype)
    regions = regions.detach()
    with precision.active():
        training_step(parts, regions, "chunked", weigh)  # what a first call sets up may wait
        torch.cuda.set_sync_debug_mode("error" if kept or weigh is assignment else "default")
        try:
            ours = training_step(parts, regions, "chunked", weigh)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        eager = training_step(parts, regions, "eager", weigh)
    exact, allowed = exact_step(parts, regions, ours[1], weigh), similarity_sums(shape, 0.1)[1]
    eagers = error(eager[0], exact_step(parts, regions, eager[1], weigh))
    assert error(ours[0], exact) <= 2 * eagers + rounding(exact, allowed)


@pytest.mark.parametrize("kept", [False, True])
def test_a_captured_training_step(monkeypatch, kept):
    """While a graph is recorded nothing can wait, so that a mean's similarities are made again if not kept."""
    monkeypatch.setattr(chunked, "keeps", lambda *arguments: kept)
    shape = 300, 20, 196, 256
    parts, regions = make(*shape, torch.bfloat16)
    regions = regions.detach()
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        training_step(parts, regions, "chunked", torch.mean)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        captured, argmax = training_step(parts, regions, "chunked", torch.mean)
    graph.replay()
    alone, same = training_step(parts, regions, "chunked", torch.mean)
    assert torch.equal(argmax, same)
    exact = exact_step(parts, regions, argmax, torch.mean)
    assert_as_accurate(captured, alone, exact, similarity_sums(shape, 0.1)[1])


def test_compiles_as_one_graph():
    def loss(parts, regions):
        scores, _, entropy = part_similarity(parts, regions, 0.5)
        return scores.square().sum() + entropy.sum()

    inputs = make(129, 5, 49, 64)
    compiled = torch.compile(loss, fullgraph=True)
    for ours, theirs in zip(
        torch.autograd.grad(compiled(*inputs), inputs), torch.autograd.grad(loss(*inputs), inputs)
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("temperature", [None, 0.1])
@pytest.mark.parametrize("backend", NAMED)
def test_opcheck(backend, temperature):
    skip_unless_it_runs(backend, torch.bfloat16)
    op = torch.ops.dpnet.part_similarity.default
    result = torch.library.opcheck(op, (*make(33, 2, 9, 24, torch.bfloat16), temperature, backend))
    assert set(result.values()) == {"SUCCESS"}


@pytest.mark.parametrize("temperature", [None, 0.1])
def test_float64_is_as_exact_as_eager(temperature):
    parts, regions = (t.detach().double().requires_grad_() for t in make(129, 3, 49, 63))
    scores, argmax, entropy = part_similarity(parts, regions, temperature)
    expected = plain(parts, regions, temperature or 1.0)
    assert torch.equal(argmax.long(), expected[1])
    torch.testing.assert_close(
        scores, expected[0], rtol=0, atol=rounding(expected[0], 63, dtype=torch.float64)
    )
    loss = scores.square().sum() + (0 if entropy is None else entropy.sum())
    true = expected[0].square().sum() + (0 if entropy is None else expected[2].sum())
    for ours, theirs in zip(*(torch.autograd.grad(value, (parts, regions)) for value in (loss, true))):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("temperature", [None, 0.1])
def test_memory_does_not_hold_the_similarities(temperature):
    """Beyond inputs, results and the gradient that comes in there are 32 MB at most."""
    parts, regions = make(10000, 64, 196, 512, torch.bfloat16)
    parts.detach() @ parts.detach()[:8].mT  # cuBLAS keeps a workspace from its first product on
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    scores, _, entropy = part_similarity(parts, regions.detach(), temperature)
    loss = scores.sum() + (0 if entropy is None else entropy.sum())
    torch.autograd.grad(loss, parts)
    torch.cuda.synchronize()
    extra = torch.cuda.max_memory_allocated() - before
    results = sum(t.nbytes for t in (scores, scores, scores, entropy, parts) if t is not None)
    assert extra <= results + 32 * 2**20  # scores, their argmax and gradient; the similarities are 251 MB
