"""Packed convolutions against `torch.nn.functional` in float64, at shapes that do and do not divide evenly."""

import copy
import pickle
from functools import partial

import pytest
import torch
from at_once import errors_at_once
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import assert_as_accurate
from torch import nn

from opticam.acceleration.packed_convolution import PackedConvolution, can_pack

pytestmark = pytest.mark.skipif(
    not can_pack(torch.float32), reason="this build of PyTorch has no packed convolutions"
)


def frozen(convolution):
    return convolution.requires_grad_(False).to(memory_format=torch.channels_last)


def check(packed, images):
    """Output and gradient of two calls, the second of which has the weights packed, against float64."""
    plain = nn.Conv2d(
        packed.in_channels,
        packed.out_channels,
        packed.kernel_size,
        packed.stride,
        packed.padding,
        packed.dilation,
        bias=packed.bias is not None,
        dtype=packed.weight.dtype,
    )
    plain.load_state_dict(packed.state_dict())

    def results(convolution, pixels):
        pixels = pixels.clone().requires_grad_()
        output = convolution(pixels)
        upstream = torch.randn(output.shape, generator=torch.Generator().manual_seed(2))
        return output, torch.autograd.grad(output, pixels, upstream.to(output))[0]

    eager, found = results(plain, images.to(plain.weight)), [results(packed, images) for _ in range(2)]
    exact = results(plain.double(), images.double())
    terms = plain.weight.numel() // min(plain.in_channels, plain.out_channels)
    for call in found:
        for triple in zip(call, eager, exact):
            assert_as_accurate(*triple, terms, least=float(plain.weight.abs().max()))


@settings(max_examples=40)
@given(data=st.data())
def test_output_and_gradient_are_those_of_the_convolution(data):
    draw = data.draw
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    dilation = draw(st.tuples(st.integers(1, 2), st.integers(1, 2)))
    stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
    padding = tuple(draw(st.integers(0, d * (k - 1))) for d, k in zip(dilation, kernel))
    sizes = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    torch.manual_seed(0)
    convolution = nn.Conv2d(*sizes, kernel, stride, padding, dilation, bias=draw(st.booleans()))
    shape = draw(st.integers(1, 3)), sizes[0], draw(st.integers(7, 16)), draw(st.integers(7, 16))
    layout = draw(st.sampled_from([torch.contiguous_format, torch.channels_last]))
    check(PackedConvolution(frozen(convolution)), torch.randn(shape).contiguous(memory_format=layout))


@pytest.mark.skipif(not can_pack(torch.bfloat16), reason="this processor has no bfloat16 convolutions")
@pytest.mark.parametrize("stride", [1, 2])
def test_bfloat16_rounds_to_bfloat16(stride):
    convolution = frozen(nn.Conv2d(16, 24, 3, stride, 1).bfloat16())
    check(PackedConvolution(convolution), torch.randn(2, 16, 11, 13).bfloat16().float())


def test_changing_shapes_and_a_late_backward():
    """A batch that differs in size, and a graph whose backward comes after the weights were packed anew."""
    packed = PackedConvolution(frozen(nn.Conv2d(5, 7, 3, 2, 1)))
    first = torch.randn(2, 5, 9, 9, requires_grad=True)
    early = packed(first)
    for batch in (3, 3, 1, 3, 1, 1):
        check(packed, torch.randn(batch, 5, 12, 10))
    (gradient,) = torch.autograd.grad(early.sum(), first)
    (expected,) = torch.autograd.grad(nn.functional.conv2d(first, packed.weight, None, 2, 1).sum(), first)
    torch.testing.assert_close(gradient, expected)


def test_threads_with_images_of_different_sizes():
    """To the last bit, whichever thread has packed the weights last; interpreters switch as often as they can."""
    packed = PackedConvolution(frozen(nn.Conv2d(2, 2, 3, padding=1)))
    pictures = [torch.randn(1, 2, side, side) for side in (4, 5, 6, 7)]

    def results(pixels):
        output = packed.convolve(pixels, True)
        return output, packed.transpose(output, tuple(pixels.shape))

    expected, wrong = [results(pixels) for pixels in pictures], []

    def run(pixels, alone):
        for _ in range(4000):
            wrong.extend(1 for pair in zip(results(pixels), alone) if not torch.equal(*pair))

    count = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        errors = errors_at_once([partial(run, *pair) for pair in zip(pictures, expected)])
    finally:
        torch.set_num_threads(count)
    assert errors == []
    assert wrong == []


@given(before=st.lists(st.integers(1, 5), max_size=4))
def test_what_comes_out_does_not_depend_on_what_came_before(before):
    """To the last bit: a run that goes on, or goes beside another, sees other batches first."""
    convolution = frozen(nn.Conv2d(64, 64, 3, 1, 1))
    images, upstream = torch.randn(
        2, 1, 64, 16, 16
    )  # one image: of more, these kernels' bits are the plain ones

    def results(packed):
        given = images.contiguous(memory_format=torch.channels_last).requires_grad_()
        output = packed(given)
        return output, *torch.autograd.grad(output, given, upstream)

    packed = PackedConvolution(convolution)
    for batch in before:
        packed(torch.randn(batch, 64, 16, 16))
    for found, expected in zip(results(packed), results(PackedConvolution(convolution))):
        assert torch.equal(found, expected)


@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_of_gradients(stride):
    packed = PackedConvolution(frozen(nn.Conv2d(3, 4, 3, stride, 1)))
    images = torch.randn(2, 3, 8, 8, requires_grad=True)

    def penalty(convolve, pixels):
        (gradient,) = torch.autograd.grad(convolve(pixels).square().sum(), pixels, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), pixels)[0]

    def plain(pixels):
        return nn.functional.conv2d(pixels, packed.weight.to(pixels), packed.bias.to(pixels), stride, 1)

    exact = penalty(plain, images.detach().double().requires_grad_())
    assert_as_accurate(penalty(packed, images), penalty(plain, images), exact, 3 * 4 * 9)


def test_copies_and_pickles_pack_anew():
    packed = PackedConvolution(frozen(nn.Conv2d(3, 4, 3)))
    images = torch.randn(1, 3, 6, 6)
    expected = packed(images)
    for other in (copy.deepcopy(packed), pickle.loads(pickle.dumps(packed))):
        torch.testing.assert_close(other(images), expected)
