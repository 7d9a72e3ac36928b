"""The C++ forward pass that also gives the parts' gradient through the entropies, against float64 autograd."""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import assert_as_accurate, assert_close, error, rounding, similarity_sums
from torch.nn.functional import normalize

from dpnet.model.constraints import assignment
from dpnet.similarity import chunked, cpu, gradient, library, part_similarity
from dpnet.similarity.gradient import common_value

pytestmark = pytest.mark.skipif(
    bool(library.LOAD_ERROR), reason=f"the C++ library is absent: {library.LOAD_ERROR}"
)

OP = torch.ops.dpnet.part_similarity.default
ONE_GROUP = (33, 3, 7, 20)
SEVERAL_GROUPS = (2000, 13, 49, 12)  # of 4 MiB: 5 images each in float64
SPLIT_IMAGES = (9000, 2, 300, 5)  # an image's regions fall into several groups
TAU = 0.3


def parts_only(parts, images, regions, depth, dtype=torch.float64):
    """Random parts, which need a gradient, and unit regions, which do not."""
    generator = torch.Generator().manual_seed(parts + regions + depth)
    u = torch.randn(parts, depth, generator=generator, dtype=torch.float64)
    x = normalize(torch.randn(images, regions, depth, generator=generator, dtype=torch.float64), dim=2)
    return u.to(dtype).requires_grad_(), x.to(dtype)


def expected_gradient(parts, regions, loss):
    """Autograd through the definition; `loss` maps scores and entropy to a number."""
    parts = parts.detach().double().requires_grad_()
    product = normalize(parts, dim=1) @ regions.double().mT
    entropy = torch.special.entr((product / TAU).softmax(dim=1)).sum(dim=1)
    return torch.autograd.grad(loss(product.amax(dim=2), entropy), parts)[0]


def our_gradient(parts, regions, loss):
    scores, _, entropy = part_similarity(parts, regions, TAU, "cpp")
    return torch.autograd.grad(loss(scores, entropy), parts)[0]


@pytest.mark.parametrize("shape", [ONE_GROUP, SEVERAL_GROUPS, SPLIT_IMAGES, (1, 1, 1, 1)], ids=str)
def test_gradient_of_all_entropies(shape):
    parts, regions = parts_only(*shape)
    gradient = OP(parts, regions, TAU, "cpp", True, True)[4]
    expected = expected_gradient(parts, regions, lambda scores, entropy: entropy.sum())
    assert torch.allclose(gradient, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("shape", [ONE_GROUP, SEVERAL_GROUPS, SPLIT_IMAGES], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str)
def test_the_other_outputs_are_those_of_the_plain_forward_pass(shape, dtype):
    parts, regions = parts_only(*shape, dtype=dtype)
    found, plainly = (OP(parts, regions, TAU, "cpp", True, with_gradient) for with_gradient in (True, False))
    for ours, alone in zip(found[:2], plainly[:2]):
        assert torch.equal(ours, alone)
    for ours, alone in zip(found[2:4], plainly[2:4]):
        assert_close(ours, alone, max(similarity_sums(shape, TAU)))


@pytest.mark.parametrize(
    "loss",
    [
        lambda scores, entropy: 0.7 * entropy.mean(),
        lambda scores, entropy: scores.square().sum() - 3 * entropy.sum(),
        lambda scores, entropy: scores.sum(),
        lambda scores, entropy: (entropy * torch.arange(7, dtype=entropy.dtype)).sum(),
        lambda scores, entropy: entropy.square().sum() + scores.mean(),
    ],
    ids=["mean", "with scores", "scores alone", "weights", "weights with scores"],
)
def test_any_loss(loss):
    parts, regions = parts_only(*ONE_GROUP)
    expected = expected_gradient(parts, regions, loss)
    assert torch.allclose(our_gradient(parts, regions, loss), expected, rtol=1e-9, atol=1e-12)
    single = our_gradient(parts.detach().float().requires_grad_(), regions.float(), loss)
    assert error(single, expected) <= rounding(expected, max(similarity_sums(ONE_GROUP, TAU)))


def test_equal_weights_are_not_computed_again(monkeypatch):
    """Only weights that differ from region to region need the similarities in the backward pass."""
    called, backward = [], cpu.backward
    monkeypatch.setattr(cpu, "backward", lambda *arguments: called.append(1) or backward(*arguments))
    parts, regions = parts_only(*ONE_GROUP, dtype=torch.float32)
    our_gradient(parts, regions, lambda scores, entropy: entropy.mean())
    assert not called
    our_gradient(parts, regions, lambda scores, entropy: entropy.square().sum())
    assert called


def test_the_value_that_all_weights_have():
    equal = torch.full((3, 4), 0.7)
    assert common_value(equal) == common_value(torch.tensor(0.7).expand(3, 4)) == torch.tensor(0.7)
    assert common_value(torch.empty(0, 4)) == 0
    assert common_value(torch.cat([equal, torch.ones(1, 4)])) is None
    assert common_value(torch.arange(4.0).expand(3, 4)) is None  # rows share memory, columns do not


def test_the_weights_of_the_assignment_constraint_are_one_number_in_memory(monkeypatch):
    """So that nothing waits for a GPU to say whether they are equal."""
    seen = []
    monkeypatch.setattr(gradient, "common_value", lambda values: seen.append(values) or common_value(values))
    parts, regions = parts_only(*ONE_GROUP)
    our_gradient(parts, regions, lambda scores, entropy: 0.3 * assignment(entropy) + scores.sum())
    assert [values.stride() for values in seen] == [(0, 0)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_a_gpus_way_to_join_the_scores_is_the_loops(dtype):
    parts, regions = parts_only(*ONE_GROUP, dtype=dtype)
    scores, argmax, *_, made = OP(parts, regions, TAU, "cpp", True, True)
    grad_scores = torch.randn(scores.shape, generator=torch.Generator().manual_seed(3))
    joined = [made.clone(), made.clone()]
    for kept, join in zip(joined, (cpu.join_scores, chunked.join_gathered)):
        join(kept, torch.tensor(-0.4), grad_scores, parts.detach(), regions, argmax)
    assert_close(*joined, ONE_GROUP[1] + 2)


@settings(max_examples=40)
@given(
    parts=st.integers(1, 70), images=st.integers(0, 4), regions=st.integers(1, 40), depth=st.integers(1, 40)
)
def test_any_size(parts, images, regions, depth):
    parts, regions = parts_only(parts, images, regions, depth)
    if images:
        loss = lambda scores, entropy: entropy.mean() + scores.sum()  # noqa: E731
        ours, expected = our_gradient(parts, regions, loss), expected_gradient(parts, regions, loss)
        assert torch.allclose(ours, expected, rtol=1e-8, atol=1e-11)
    else:
        assert not our_gradient(parts, regions, lambda scores, entropy: entropy.sum()).any()


def test_same_bits_with_any_number_of_threads_and_in_a_second_backward_pass():
    parts, regions = parts_only(300, 5, 30, 17, dtype=torch.float32)
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            scores, _, entropy = part_similarity(parts, regions, TAU, "cpp")
            loss = scores.sum() + entropy.mean()
            found += [torch.autograd.grad(loss, parts, retain_graph=True)[0] for _ in range(2)]
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(found[0], other) for other in found[1:])


@pytest.mark.parametrize("with_scores", [False, True], ids=["entropy alone", "with scores"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_kept_gradient_survives_every_pass_but_the_last(dtype, with_scores):
    """The last backward pass overwrites it; earlier ones, of any weight, must not."""
    parts, regions = parts_only(*ONE_GROUP, dtype=dtype)
    scores, _, entropy = part_similarity(parts, regions, TAU, "cpp")
    other = scores.square().sum() if with_scores else 0
    losses = [2 * entropy.mean() + other, entropy.sum() + other, 2 * entropy.mean() + other]
    found = [torch.autograd.grad(loss, parts, retain_graph=i < 2)[0] for i, loss in enumerate(losses)]
    assert torch.equal(found[0], found[2]) and not torch.equal(found[0], found[1])


def test_gradients_of_several_steps_add_up_in_place_of_the_parts():
    parts, regions = parts_only(*ONE_GROUP)
    expected = expected_gradient(parts, regions, lambda scores, entropy: entropy.mean() + scores.sum())
    for _ in range(3):
        scores, _, entropy = part_similarity(parts, regions, TAU, "cpp")
        (entropy.mean() + scores.sum()).backward()
    assert torch.allclose(parts.grad, 3 * expected, rtol=1e-9, atol=1e-12)


def test_no_gradient_is_made_where_none_is_asked_for():
    parts, regions = parts_only(*ONE_GROUP)
    assert OP(parts, regions, TAU, "cpp", True, False)[4].numel() == 0
    with torch.no_grad():
        assert part_similarity(parts, regions, TAU, "cpp")[2].grad_fn is None


def test_strided_regions():
    parts, regions = parts_only(*ONE_GROUP)
    strided = regions.mT.contiguous().mT
    loss = lambda scores, entropy: entropy.mean()  # noqa: E731
    assert torch.equal(our_gradient(parts, strided, loss), our_gradient(parts, regions, loss))


@pytest.mark.parametrize("shape", [(300, 4, 49, 2048), (129, 3, 33, 512)], ids=str)
@pytest.mark.parametrize("draw", [torch.randn, torch.rand], ids=["normal", "positive"])
def test_scores_beside_an_entropy_within_twice_the_error_of_eager(draw, shape):
    parts, images, regions, depth = shape
    generator = torch.Generator().manual_seed(depth)
    u = draw(parts, depth, generator=generator)
    x = normalize(draw(images, regions, depth, generator=generator), dim=2)
    exact = (normalize(u.double(), dim=1) @ x.double().mT).amax(dim=2)
    eager = (normalize(u, dim=1) @ x.mT).amax(dim=2)
    scores = part_similarity(u, x, TAU, "cpp")[0]
    assert_as_accurate(scores, eager, exact, depth)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_opcheck(dtype):
    parts, regions = parts_only(*ONE_GROUP, dtype=dtype)
    result = torch.library.opcheck(OP, (parts, regions, TAU, "cpp", True, True))
    assert set(result.values()) == {"SUCCESS"}


@pytest.mark.skipif(
    os.environ.get("ATEN_CPU_CAPABILITY") == "default",
    reason="torch.compile builds no C++ code at this capability",
)
def test_compiled():
    parts, regions = parts_only(*ONE_GROUP, dtype=torch.float32)

    def loss(parts, regions):
        scores, _, entropy = part_similarity(parts, regions, TAU)
        return scores.sum() + entropy.mean()

    compiled = torch.compile(loss, fullgraph=True)(parts, regions)
    (ours,) = torch.autograd.grad(compiled, parts)
    (plainly,) = torch.autograd.grad(loss(parts, regions), parts)
    assert torch.equal(ours, plainly)


@pytest.mark.parametrize("shape", [ONE_GROUP, SEVERAL_GROUPS, SPLIT_IMAGES, (65, 3, 5, 33)], ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16], ids=str)
def test_gradient_within_twice_the_error_of_eager(shape, dtype):
    parts, regions = parts_only(*shape, dtype=dtype)
    ours = OP(parts, regions, TAU, "cpp", True, True)[4]
    product = (normalize(parts, dim=1) @ regions.mT).float()
    eager = torch.special.entr((product / TAU).softmax(dim=1)).sum()
    (eager,) = torch.autograd.grad(eager, parts)
    exact = expected_gradient(parts, regions, lambda scores, entropy: entropy.sum())
    assert_as_accurate(ours, eager, exact, max(similarity_sums(shape, TAU)))
