"""Derivatives that part similarity does not have raise: none of them is taken for zero."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.forward_ad import dual_level, make_dual
from torch.nn.functional import normalize

from dpnet.similarity import part_similarity

BACKENDS = ["eager", "chunked", "cpp"]
OP = torch.ops.dpnet.part_similarity.default


def random_inputs():
    generator = torch.Generator().manual_seed(0)
    parts = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    regions = normalize(torch.randn(3, 4, 5, generator=generator, dtype=torch.float64), dim=2)
    return parts.requires_grad_(), regions.requires_grad_()


def with_penalty(loss, parts):
    """The gradient of a loss and of its gradient's square."""
    (gradient,) = torch.autograd.grad(loss, parts, create_graph=True)
    return torch.autograd.grad(loss + gradient.square().sum(), parts)[0]


@pytest.mark.parametrize("way", ["plain", "operation", "operation that made the gradient"])
@pytest.mark.parametrize("result", [0, 2], ids=["scores", "entropy"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_gradient_is_not_differentiated_again(backend, result, way):
    parts, regions = random_inputs()
    regions = regions.detach()
    if way == "plain":
        results = part_similarity(parts, regions, 0.3, backend)
    else:
        made = way.endswith("gradient") and backend != "eager"
        results = OP(parts, regions, 0.3, backend, True, made, True)
    with pytest.raises(RuntimeError, match="differentiated again"):
        with_penalty(results[result].mean(), parts)


@pytest.mark.parametrize("backend", BACKENDS)
def test_no_tangent_of_forward_differentiation_is_lost(backend):
    parts, regions = (given.detach() for given in random_inputs())

    def entropy(parts, regions):
        return part_similarity(parts, regions, 0.3, backend)[2]

    for name, function, point in (
        ("parts", lambda given: entropy(given, regions), parts),
        ("regions", lambda given: entropy(parts, given), regions),
    ):
        for learned in (False, True):
            with pytest.raises(NotImplementedError, match=f"{name} has a tangent"), dual_level():
                function(make_dual(point.clone().requires_grad_(learned), torch.ones_like(point)))
        with pytest.raises(NotImplementedError, match=f"{name} has a tangent"):
            torch.func.jvp(function, (point,), (point,))
    value, tangent = torch.func.jvp(
        lambda scale: scale * entropy(parts, regions), (parts[0, 0],), (parts[0, 0],)
    )
    torch.testing.assert_close(tangent, value)
    parts.requires_grad_()
    found = entropy(parts, regions)
    with pytest.raises(NotImplementedError, match="has a tangent"), dual_level():
        torch.autograd.grad(found, parts, make_dual(torch.ones_like(found), torch.ones_like(found)))


@pytest.mark.filterwarnings("ignore:There is a performance drop")
@pytest.mark.parametrize("backend", BACKENDS)
def test_functorch_maps_and_refuses_to_differentiate(backend):
    parts, regions = random_inputs()
    whole = part_similarity(parts, regions, 0.3, backend)
    each = torch.func.vmap(lambda image: part_similarity(parts, image[None], 0.3, backend))(regions)
    for mapped, expected in zip(each, whole):
        torch.testing.assert_close(mapped.squeeze(1), expected)
    gradients = [
        torch.autograd.grad(scores.sum() + entropy.sum(), (parts, regions))
        for scores, _, entropy in (each, whole)
    ]
    torch.testing.assert_close(*gradients)
    for transform in (torch.func.grad, torch.func.jacrev, torch.func.hessian):
        with pytest.raises(RuntimeError, match="functorch transforms"):
            transform(lambda given: part_similarity(given, regions.detach(), 0.3, backend)[2].sum())(
                parts.detach()
            )
