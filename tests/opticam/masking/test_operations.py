"""The registered operations under torch.library.opcheck and torch.compile."""

import os

import pytest
import torch
from tolerances import assert_close, masking_sum
from torch.library import opcheck

from opticam.masking import channel_masks, ops, saliency_mask, step_masks
from opticam.masking.reference import NORMALIZATIONS

OPS = torch.ops.opticam


def arguments(dtype=torch.float32, layout=torch.contiguous_format, requires_grad=True):
    features = torch.randn(2, 9, 5, 4).to(dtype)
    logits_u = torch.randn(2, 9, requires_grad=requires_grad)
    return features, logits_u, torch.rand(2, 3, 23, 21).to(dtype).contiguous(memory_format=layout)


@pytest.mark.parametrize("normalization", NORMALIZATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_opcheck_saliency_mask(normalization, dtype, layout):
    opcheck(OPS.saliency_mask, (*arguments(dtype, layout), normalization))


@pytest.mark.parametrize(("has_masked", "has_map"), [(True, True), (True, False), (False, True)])
def test_opcheck_backward(has_masked, has_map):
    inputs = arguments(requires_grad=False)
    masked, saliency_map, weights, surface = OPS.saliency_mask(*inputs, "range")
    gradients = masked.clone() if has_masked else None, saliency_map.clone() if has_map else None
    saved = inputs[0], inputs[2], saliency_map, weights, surface
    opcheck(OPS.saliency_mask_backward, (*gradients, *saved, "range"))


def test_opcheck_adam():
    inputs = arguments(requires_grad=False)
    masked, saliency_map, weights, surface = OPS.saliency_mask(*inputs, "range")
    state = inputs[1].clone(), torch.zeros(2, 9), torch.zeros(2, 9), torch.tensor(1)
    saved = inputs[0], inputs[2], saliency_map, weights, surface
    opcheck(OPS.saliency_mask_adam_, (*state, masked, None, *saved, "range", 0.1, 0.9, 0.999, 1e-8))


def test_opcheck_masks():
    features, _, images = arguments()
    opcheck(OPS.channel_masks, (features, images, torch.tensor([[0, 3], [8, 8]])))
    ranks = torch.randint(0, 483, (2, 23, 21))
    opcheck(OPS.step_masks, (ranks, images, torch.zeros(1, 3, 1, 1), torch.tensor([0, 100, 483])))


@pytest.mark.parametrize("backend", ["auto", "eager"])
def test_what_is_no_first_derivative_backward_is_autograds_or_refused(backend):
    features, logits_u, images = arguments(torch.float64)
    logits_u = logits_u.detach().double().requires_grad_()

    def masked(logits_u):
        return saliency_mask(features, logits_u, images, backend=backend)[0].square().mean()

    if backend == "eager":
        assert torch.autograd.gradgradcheck(masked, (logits_u,))
        assert torch.autograd.gradcheck(masked, (logits_u,), check_forward_ad=True)
        return
    value = masked(logits_u)
    (gradient,) = torch.autograd.grad(value, logits_u, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiated again"):
        (value + gradient.square().sum()).backward()
    with pytest.raises(NotImplementedError, match="logits_u has a tangent"):
        torch.func.jvp(masked, (logits_u.detach(),), (logits_u.detach(),))
    with pytest.raises(RuntimeError, match="functorch transforms"):
        torch.func.grad(masked)(logits_u.detach())


def everything(features, logits_u, images, ranks, backend):
    masked, saliency_map = saliency_mask(features, logits_u, images, backend=backend)
    masks = channel_masks(features, images, [0, 3], backend)
    steps = step_masks(ranks, images, torch.zeros(1), [0, 100], backend)
    return masked.sin(), saliency_map.square(), masks, steps


INDUCTOR = pytest.mark.skipif(
    os.environ.get("ATEN_CPU_CAPABILITY") == "default",
    reason="torch.compile builds no C++ code at this capability",
)


@pytest.mark.parametrize(
    ("backend", "compiler"),
    [("eager", "aot_eager"), ("auto", "aot_eager"), pytest.param("auto", "inductor", marks=INDUCTOR)],
)
def test_compiled_as_one_graph_gives_the_same(backend, compiler):
    torch.compiler.reset()
    inputs = (*arguments(), torch.randint(0, 483, (2, 23, 21)))
    compiled = torch.compile(everything, fullgraph=True, backend=compiler)
    plain, ours = everything(*inputs, backend), compiled(*inputs, backend)
    length = masking_sum(inputs[0], inputs[2])
    for expected, actual in zip(plain, ours):
        assert_close(actual, expected, length)
    gradients = [torch.autograd.grad(out[0].sum() + out[1].sum(), inputs[1])[0] for out in (plain, ours)]
    assert_close(*gradients, length)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_masked_pixels_are_rounded_once(dtype):
    """In the implementation that any device has: the map stays in float32 until it has been multiplied."""
    features, logits_u, images = arguments(requires_grad=False)
    images = images.to(dtype)
    masked, saliency_map, *_ = ops.IMPLEMENTATIONS["saliency_mask"](features, logits_u, images, "range")
    assert torch.equal(masked, (images.double() * saliency_map[:, None].double()).to(dtype))


def test_a_gradient_is_not_differentiated_by_what_it_came_from():
    """It is linear in the gradient that comes in, which is no saved tensor."""
    features, logits_u, images = arguments()
    upstream = torch.ones_like(images).requires_grad_()
    masked, _ = saliency_mask(features, logits_u, images)
    (gradient,) = torch.autograd.grad(masked, logits_u, upstream, create_graph=True)
    with pytest.raises(RuntimeError, match="differentiated again"):
        torch.autograd.grad(gradient.sum(), upstream)
