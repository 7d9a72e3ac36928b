"""Every backend of the registered op against float64, at odd sizes and on awkward inputs."""

from __future__ import annotations

import math

import pytest
import torch
from tolerances import assert_as_accurate, assert_close, error, rounding, similarity_sums
from torch.nn.functional import normalize

from dpnet.similarity import backend_report, part_similarity
from dpnet.similarity.inputs import TEMPERATURES

BACKENDS = ["eager", "chunked", "cpp"]
OP = torch.ops.dpnet.part_similarity.default
SHAPES = [
    (129, 3, 49, 63),
    (7, 2, 1, 64),
    (670, 2, 140, 33),
    (65, 1, 1015, 128),
    (64, 5, 196, 512),
    (1, 1, 1, 1),
]


def random_inputs(dtype=torch.float64, parts=7, batch=3, regions=4, depth=5):
    generator = torch.Generator().manual_seed(parts + regions + depth)
    u = torch.randn(parts, depth, generator=generator, dtype=torch.float64)
    x = normalize(torch.randn(batch, regions, depth, generator=generator, dtype=torch.float64), dim=2)
    return u.to(dtype).requires_grad_(), x.to(dtype).requires_grad_()


def plain(parts, regions, temperature):
    """The definition, differentiated by autograd, in the dtype of the inputs."""
    product = normalize(parts, dim=1) @ regions.mT
    entropy = torch.special.entr((product / temperature).softmax(dim=1)).sum(dim=1)
    return *product.max(dim=2), entropy, product


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_within_twice_the_error_of_eager(backend, dtype, shape):
    parts, regions = random_inputs(dtype, *shape)
    exact_inputs = [t.detach().double().requires_grad_() for t in (parts, regions)]
    exact = plain(*exact_inputs, 0.07)
    eager = plain(parts, regions, 0.07)
    weights = [torch.randn(t.shape, generator=torch.Generator().manual_seed(1)) for t in (eager[0], eager[2])]
    scores, argmax, entropy = part_similarity(parts, regions, 0.07, backend)

    reached = exact[3].gather(2, argmax.long().unsqueeze(2)).squeeze(2)
    assert argmax.dtype == torch.int32
    depth = shape[-1]
    # Two scores that differ by less than both their errors may change places.
    assert error(reached, exact[0]) <= 4 * error(eager[0], exact[0]) + 2 * rounding(exact[0], depth)
    assert_as_accurate(scores, eager[0], exact[0], depth, "scores")
    assert_as_accurate(entropy, eager[2], exact[2], similarity_sums(shape, 0.07)[0], "entropy", least=1.0)

    # The gradient belongs to the argmax that each forward found: compare it where float64 is sent the same way.
    best = exact[3].gather(2, argmax.long().unsqueeze(2)).squeeze(2)
    true = torch.autograd.grad(
        (best * weights[0]).sum() + (exact[2] * weights[1]).sum(), exact_inputs, retain_graph=True
    )
    best = exact[3].gather(2, eager[1].unsqueeze(2)).squeeze(2)
    true_eager = torch.autograd.grad((best * weights[0]).sum() + (exact[2] * weights[1]).sum(), exact_inputs)
    loss = (scores * weights[0]).sum() + (entropy * weights[1]).sum()
    ours = torch.autograd.grad(loss, (parts, regions))
    loss = (eager[0] * weights[0]).sum() + (eager[2] * weights[1]).sum()
    theirs = torch.autograd.grad(loss, (parts, regions))
    for gradient, truth, other, other_truth in zip(ours, true, theirs, true_eager):
        assert gradient.dtype == dtype
        allowed = 2 * error(other, other_truth) + rounding(truth, similarity_sums(shape, 0.07)[1], least=1.0)
        assert error(gradient, truth) <= allowed


@pytest.mark.parametrize("shape", SHAPES[:3], ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_scores_alone_send_gradients_through_the_argmax(backend, shape):
    parts, regions = random_inputs(torch.float64, *shape)
    scores, argmax, entropy = part_similarity(parts, regions, backend=backend)
    expected = plain(parts, regions, 1.0)
    assert entropy is None
    torch.testing.assert_close(scores, expected[0])
    assert torch.equal(argmax.long(), expected[1])
    for ours, theirs in zip(
        torch.autograd.grad(scores.square().sum(), (parts, regions)),
        torch.autograd.grad(expected[0].square().sum(), (parts, regions)),
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("temperature", [None, 0.3])
@pytest.mark.parametrize("backend", BACKENDS)
def test_gradients_agree_with_finite_differences(backend, temperature):
    def differentiable(parts, regions):
        scores, _, entropy = part_similarity(parts, regions, temperature, backend)
        return (scores,) if entropy is None else (scores, entropy)

    assert torch.autograd.gradcheck(differentiable, random_inputs())


@pytest.mark.parametrize("temperature", [None, 0.3])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_opcheck(backend, dtype, temperature):
    result = torch.library.opcheck(OP, (*random_inputs(dtype), temperature, backend))
    assert set(result.values()) == {"SUCCESS"}


@pytest.mark.parametrize("backend", BACKENDS)
def test_compiles_as_one_graph_with_the_same_gradients(backend):
    def loss(parts, regions):
        scores, _, entropy = part_similarity(parts, regions, 0.5, backend)
        return scores.square().sum() + entropy.sum()

    inputs = random_inputs()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    for ours, theirs in zip(
        torch.autograd.grad(compiled(*inputs), inputs), torch.autograd.grad(loss(*inputs), inputs)
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_float32_parts_meet_regions_of_another_dtype(backend, dtype):
    parts, regions = random_inputs(torch.float32, 20, 2, 9, 48)
    scores, _, entropy = part_similarity(parts, regions.to(dtype), 0.1, backend)
    (scores.sum() + entropy.sum()).backward()
    assert scores.dtype == entropy.dtype == parts.grad.dtype == torch.float32
    exact = plain(parts.double(), regions.to(dtype).double(), 0.1)
    assert error(scores, exact[0]) < 16 * torch.finfo(dtype).eps


@pytest.mark.parametrize("backend", BACKENDS)
def test_ties_take_the_lowest_region(backend):
    # Halves and eighths: every product and sum is exact, so equal regions have equal similarities in any order.
    generator = torch.Generator().manual_seed(0)
    parts = torch.zeros(33, 24)
    for part in parts:
        part[torch.randperm(24, generator=generator)[:4]] = 0.5
    regions = torch.randint(-8, 9, (2, 5, 24), generator=generator).repeat(1, 3, 1) / 8
    scores, argmax, _ = part_similarity(parts, regions, backend=backend)
    assert torch.equal(scores, (parts @ regions.mT).amax(dim=2))
    assert torch.equal(argmax.long(), (parts @ regions[:, :5].mT).argmax(dim=2))
    equal = part_similarity(parts, torch.ones(2, 70, 24), 1.0, backend)
    assert not equal[1].any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_equal_parts_give_the_largest_entropy_and_a_match_the_least(backend):
    same = part_similarity(torch.ones(130, 24), torch.rand(2, 7, 24), 0.1, backend)[2]
    torch.testing.assert_close(same, torch.full((2, 7), math.log(130)))
    decisive = part_similarity(torch.eye(24), 50 * torch.eye(24)[None], 1.0, backend)[2]
    assert decisive.min() >= 0 and decisive.max() < 1e-12


@pytest.mark.parametrize("scale", [1e-3, 30.0, 1e4])
@pytest.mark.parametrize("backend", BACKENDS)
def test_entropy_at_any_feature_norm(backend, scale):
    parts, regions = random_inputs(torch.float32, 200, 2, 9, 48)
    exact = plain(parts.double(), scale * regions.double(), 0.05)
    entropy = part_similarity(parts, scale * regions, 0.05, backend)[2]
    eager = plain(parts, scale * regions, 0.05)
    # Logits of this size are rounded as a sum of that many terms would be.
    length = 200 + min(exact[3].abs().max().item() / 0.05, 100) ** 2 * 48  # beyond, shares are 0 or 1
    assert_as_accurate(entropy, eager[2], exact[2], length, least=1.0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_the_greatest_temperature_makes_all_parts_alike(backend, dtype):
    parts, regions = random_inputs(dtype, 65, 2, 9, 48)
    greatest = part_similarity(parts, regions, TEMPERATURES[1], backend)[2]
    torch.testing.assert_close(greatest, torch.full_like(greatest, math.log(65)))


@pytest.mark.parametrize(("dtype", "logit"), [(torch.float32, 1e9), (torch.float64, 1e18)], ids=str)
@pytest.mark.parametrize("backend", BACKENDS)
def test_one_part_has_all_at_the_largest_logits(backend, dtype, logit):
    """The page on part similarity names these; the largest logit, about 0 by then, is off by eps times its size."""
    parts, regions = random_inputs(dtype, 65, 2, 9, 48)
    entropy = part_similarity(parts, regions, 1 / logit, backend)[2]
    eps = torch.finfo(dtype).eps
    assert entropy.abs().max() <= 4 * eps * (eps * logit)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("parts", [3, 100])
@pytest.mark.parametrize("logit", [-90.0, -750.0, -3e4])
@pytest.mark.parametrize("backend", BACKENDS)
def test_logits_far_below_that_of_no_similarity(backend, logit, parts, dtype):
    """Where a vector of parts is not full, what is not there has similarity 0, and must not count."""
    generator = torch.Generator().manual_seed(0)
    u = 0.01 * torch.randn(parts, 16, generator=generator, dtype=torch.float64)
    x = 0.01 * torch.randn(2, 20, 16, generator=generator, dtype=torch.float64)
    u[:, 0], x[..., 0] = 1, -1
    x.requires_grad_()
    (exact,) = torch.autograd.grad(plain(u, x, -1 / logit)[2].sum(), x)
    (found,) = torch.autograd.grad(part_similarity(u.to(dtype), x.to(dtype), -1 / logit, backend)[2].sum(), x)
    # A logit is off by eps times its size, a share by as much of itself; the gradient is shares over the temperature.
    assert error(found, exact) <= 4 * torch.finfo(dtype).eps * logit**2


@pytest.mark.parametrize("backend", BACKENDS)
def test_nan_counts_as_the_largest_and_stays_in_its_image(backend):
    parts, regions = random_inputs(torch.float32, 20, 3, 9, 24)
    regions = regions.detach().clone()
    regions[1, 4, 2] = regions[1, 6, 3] = math.nan
    scores, argmax, entropy = part_similarity(parts, regions, 0.1, backend)
    assert scores[1].isnan().all() and (argmax[1] == 4).all()
    assert not scores[[0, 2]].isnan().any()
    assert torch.equal(entropy.isnan(), regions.isnan().any(dim=2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("trains", [False, True])
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_infinite_number_is_the_largest_of_parts_that_look_its_way(backend, trains, dtype):
    """All other parts score what they do without its region."""
    parts, regions = random_inputs(torch.float32, 70, 3, 20, 48)
    regions = regions.detach().to(dtype)
    without = part_similarity(parts, torch.cat([regions[:, :4], regions[:, 5:]], 1), 0.1, backend)[0]
    regions[1, 4, 7] = math.inf
    scores, argmax, entropy = part_similarity(parts.requires_grad_(trains), regions, 0.1, backend)
    towards = parts[:, 7] > 0
    assert (argmax[1][towards] == 4).all() and scores[1][towards].isposinf().all()
    torch.testing.assert_close(scores[1][~towards], without[1][~towards], atol=1e-2, rtol=0)
    assert scores[[0, 2]].isfinite().all() and torch.equal(entropy.isfinite(), regions.isfinite().all(dim=2))


@pytest.mark.parametrize("temperature", [None, 0.1])
@pytest.mark.parametrize("backend", BACKENDS)
def test_an_empty_batch_has_empty_results_and_zero_gradients(backend, temperature):
    parts, regions = random_inputs(torch.float32, 20, 0, 9, 24)
    scores, argmax, entropy = part_similarity(parts, regions, temperature, backend)
    assert scores.shape == argmax.shape == (0, 20)
    assert entropy is None or entropy.shape == (0, 9)
    scores.sum().backward()
    assert not parts.grad.any() and regions.grad.shape == (0, 9, 24)


def layouts():
    features = torch.randn(3, 40, 7, 7, generator=torch.Generator().manual_seed(0))
    wide = torch.randn(3, 9, 80, generator=torch.Generator().manual_seed(0))
    return {
        "feature map": features.flatten(2).mT,
        "channels last": features.to(memory_format=torch.channels_last).flatten(2).mT,
        "expanded": wide[:1, :, :40].expand(3, 9, 40),
        "expanded regions": wide[:, :1, :40].expand(3, 9, 40),
        "every other": wide[:, :, ::2],
        "sliced": wide[:, 1:, 3:43],
    }


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("layout", layouts())
@pytest.mark.parametrize("backend", BACKENDS)
def test_memory_layout_changes_nothing(backend, layout, dtype):
    parts = torch.randn(2 * 33, 40, generator=torch.Generator().manual_seed(1))[::2].requires_grad_()
    regions = layouts()[layout].to(dtype)
    results = []
    for x in (regions, regions.clone(memory_format=torch.contiguous_format)):
        scores, _, entropy = part_similarity(parts, x, 0.5, backend)
        gradient = torch.autograd.grad(scores.square().sum() + entropy.sum(), parts)[0]
        results.append((scores, entropy, gradient))
    for ours, theirs in zip(*results):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("temperature", [None, 0.1])
@pytest.mark.parametrize("backend", BACKENDS)
def test_two_runs_give_the_same_bits(backend, temperature):
    def run():
        parts, regions = random_inputs(torch.float32, 129, 6, 49, 65)
        scores, argmax, entropy = part_similarity(parts, regions, temperature, backend)
        loss = scores.square().sum() if entropy is None else scores.sum() + entropy.sum()
        return scores, argmax, *torch.autograd.grad(loss, (parts, regions))

    for first, second in zip(run(), run()):
        assert torch.equal(first, second)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_result_does_not_depend_on_the_rest_of_the_batch(backend):
    parts, regions = random_inputs(torch.float32, 129, 6, 49, 65)
    together = part_similarity(parts, regions, 0.1, backend)
    alone = part_similarity(parts, regions[4:5], 0.1, backend)
    for ours, theirs in zip(alone, together):
        assert_close(ours[0], theirs[4], max(similarity_sums((129, 6, 49, 65), 0.1)))


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_part_of_norm_zero_scores_zero(backend):
    parts = torch.zeros(3, 8, requires_grad=True)
    scores = part_similarity(parts, torch.randn(2, 5, 8), backend=backend)[0]
    assert not scores.any()


def test_backend_report_has_a_row_for_each_backend_and_says_why_not():
    report = {row["backend"]: row for row in backend_report()}
    assert set(report) == {"eager", "chunked", "cpp", "cuda", "hopper"}
    assert report["eager"]["available"] == "yes"
    assert all(row["detail"] for row in report.values() if row["available"] == "no")
    assert report["cpp"]["detail"].split("+")[0] in ("avx512", "avx2", "baseline")
