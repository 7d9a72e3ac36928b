"""Float64 convolutions: equal to PyTorch's on whole numbers, whose sums are exact in any order, else to rounding."""

import copy
import os
import pickle
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tolerances import assert_close, error, rounding
from torch import nn

from opticam.acceleration.float64_convolution import LEAST_CHANNELS, Float64Convolution, computable

pytestmark = pytest.mark.skipif(
    not computable(nn.Conv2d(1, 1, 1).double()), reason="the extension opticam._C is not built"
)


def frozen(*sizes, **options):
    return nn.Conv2d(*sizes, **options, dtype=torch.float64).requires_grad_(False)


def whole(shape):
    return torch.randint(-8, 9, shape).double()


def results(convolution, images, upstream=None):
    """Output, and the gradient by the images."""
    images = images.clone().requires_grad_()
    output = convolution(images)
    upstream = whole(output.shape) if upstream is None else upstream
    return output.detach(), torch.autograd.grad(output, images, upstream)[0], upstream


@st.composite
def layers(draw):
    """A convolution of any geometry that fits its images, and their shape."""
    ranges = {"kernel_size": (1, 4), "stride": (1, 3), "padding": (0, 4), "dilation": (1, 3)}
    options = {name: draw(st.tuples(*[st.integers(*ends)] * 2)) for name, ends in ranges.items()}
    geometry = zip(options["dilation"], options["kernel_size"], options["padding"])
    least = [max(1, d * (k - 1) + 1 - 2 * p) for d, k, p in geometry]
    sides = [draw(st.integers(side, side + 14)) for side in least]
    channels = draw(st.sampled_from([1, 2, 3, 16, 17])), draw(st.sampled_from([1, 3, 8, 9, 16, 20, 33]))
    convolution = frozen(*channels, **options, bias=draw(st.booleans()))
    return convolution, (draw(st.integers(1, 3)), channels[0], *sides)


def assert_exact_on_whole_numbers(convolution, images):
    for parameter in convolution.parameters():
        parameter.copy_(whole(parameter.shape))
    output, gradient, upstream = results(convolution, images)
    found = results(Float64Convolution(convolution), images, upstream)
    assert torch.equal(found[0], output)
    assert torch.equal(found[1], gradient)
    assert found[0].is_contiguous(memory_format=torch.channels_last)


@settings(max_examples=150)
@given(layer=layers(), last=st.booleans())
def test_whole_numbers_come_out_exactly(layer, last):
    convolution, shape = layer
    images = whole(shape).contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    assert_exact_on_whole_numbers(convolution, images)


@st.composite
def layers_in_tiles(draw):
    """A convolution of 3 x 3 that is made in tiles, and the shape of its images."""
    dilation, padding = (draw(st.tuples(*[st.integers(*ends)] * 2)) for ends in ((1, 3), (0, 7)))
    sides = [max(1, 2 * d + 1 - 2 * p) + draw(st.integers(0, 9)) for d, p in zip(dilation, padding)]
    channels = draw(st.sampled_from([32, 37])), draw(st.sampled_from([32, 45, 48]))
    convolution = frozen(*channels, 3, padding=padding, dilation=dilation, bias=draw(st.booleans()))
    return convolution, (draw(st.integers(1, 3)), channels[0], *sides)


@settings(max_examples=60)
@given(layer=layers_in_tiles())
def test_whole_numbers_come_out_of_tiles_exactly(layer):
    """Quarters of whole numbers are exact, too; padding of more than the kernel's reach is cut off the gradient."""
    convolution, shape = layer
    assert Float64Convolution(convolution).in_tiles
    assert_exact_on_whole_numbers(convolution, whole(shape))


def test_what_is_not_made_in_tiles():
    wide = {"in_channels": LEAST_CHANNELS, "out_channels": LEAST_CHANNELS, "kernel_size": 3}
    assert Float64Convolution(frozen(**wide)).in_tiles
    for other in ({"stride": 2}, {"kernel_size": (3, 1)}, {"in_channels": 31}, {"out_channels": 31}):
        assert not Float64Convolution(frozen(**wide | other)).in_tiles


@settings(max_examples=45)
@given(layer=layers() | layers_in_tiles())
def test_other_numbers_to_rounding(layer):
    convolution, shape = layer
    images = torch.randn(shape, dtype=torch.float64)
    output, gradient, upstream = results(convolution, images)
    found = results(Float64Convolution(convolution), images, upstream)
    by_output, by_input = convolution.weight.flatten(1), convolution.weight.transpose(0, 1).flatten(1)
    for ours, theirs, weights in zip(found, (output, gradient), (by_output, by_input)):
        # Such sums are as large as their weights' norm; the few that there may be can all cancel out.
        usual = weights.norm(dim=1).max().item()
        assert error(ours, theirs) <= 2 * rounding(theirs, weights.shape[1], torch.float64, least=usual)


def test_gradients_of_gradients_of_tiles():
    plain = frozen(32, 33, kernel_size=3, padding=1)
    weight = torch.randn(2, 33, 5, 6, dtype=torch.float64)
    found = []
    for convolution in (plain, Float64Convolution(plain)):
        images = (
            torch.linspace(-1, 1, 2 * 32 * 5 * 6, dtype=torch.float64).reshape(2, 32, 5, 6).requires_grad_()
        )
        output = (convolution(images).sin() * weight).sum()
        (gradient,) = torch.autograd.grad(output, images, create_graph=True)
        found.append(torch.autograd.grad(gradient.square().sum(), images)[0])
    assert_close(found[1], found[0], 4 * 9 * 33)


@pytest.mark.parametrize("stride", [1, 2])
def test_gradients_and_gradients_of_gradients(stride):
    convolution = Float64Convolution(frozen(2, 3, kernel_size=3, stride=stride, padding=1))
    images = torch.randn(2, 2, 5, 6, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(convolution, images)
    assert torch.autograd.gradgradcheck(lambda pixels: convolution(pixels).square(), images)


@pytest.mark.parametrize("channels", [(24, 20), (3, 20), (40, 33)], ids=["rows", "planes", "tiles"])
@pytest.mark.parametrize("side", [8, 40])
def test_an_image_comes_out_the_same_in_any_batch_and_on_any_number_of_threads(side, channels):
    """To the last bit: 40 is cut into bands or groups of tiles, of which threads take some."""
    convolution = Float64Convolution(frozen(*channels, kernel_size=3, padding=2, dilation=2))
    images = torch.randn(3, channels[0], side, side, dtype=torch.float64)
    output, gradient, upstream = results(
        convolution, images, torch.randn(3, channels[1], side, side, dtype=torch.float64)
    )
    threads = torch.get_num_threads()
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            alone = results(convolution, images[1:2], upstream[1:2])
            assert torch.equal(alone[0], output[1:2])
            assert torch.equal(alone[1], gradient[1:2])
    finally:
        torch.set_num_threads(threads)


SCRIPT = """
import sys, torch
from torch import nn
from opticam.acceleration.float64_convolution import Float64Convolution
torch.manual_seed(0)
convolution = Float64Convolution(nn.Conv2d(40, 37, 3, 1, 1, dtype=torch.float64).requires_grad_(False))
images = torch.rand(2, 40, 13, 13, dtype=torch.float64, requires_grad=True)
output = convolution(images)
(gradient,) = torch.autograd.grad(output.square().sum(), images)
print(torch.ops.opticam.instruction_set())
torch.save([output.detach(), gradient], sys.argv[1])
"""


def test_every_vector_width_with_fused_multiply_add_rounds_alike(tmp_path):
    """The processor's own loops and AVX2's, where it has more; the baseline's round twice and may differ in the end."""
    found = {}
    for level in ("", "avx2", "default"):
        path = tmp_path / f"level{level}.pt"
        environment = {name: value for name, value in os.environ.items() if name != "ATEN_CPU_CAPABILITY"}
        environment |= {"ATEN_CPU_CAPABILITY": level} if level else {}
        ran = subprocess.run(
            [sys.executable, "-c", SCRIPT, path], env=environment, capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
        found[level] = ran.stdout.strip(), torch.load(path)
    for ours, theirs in zip(found[""][1], found["avx2"][1]):
        assert torch.equal(ours, theirs) or found["avx2"][0] == "baseline"
    for ours, theirs in zip(found[""][1], found["default"][1]):
        assert_close(ours, theirs, 2 * 9 * 40)


def test_nothing_in_gives_nothing_out():
    convolution = Float64Convolution(frozen(3, 4, kernel_size=3))
    assert convolution(torch.zeros(0, 3, 6, 6)).shape == (0, 4, 4, 4)


@pytest.mark.parametrize("channels", [3, 40])
@pytest.mark.parametrize(
    ("kernel", "stride", "sides"), [(3, 2, (2, 9)), (5, 4, (9, 3)), (3, 1, (2, 2)), (2, 9, (1, 1))]
)
def test_images_smaller_than_the_kernel_are_refused(channels, kernel, stride, sides):
    convolution = frozen(channels, 40, kernel_size=kernel, stride=stride)
    for refusing in (convolution, Float64Convolution(convolution)):
        with pytest.raises(RuntimeError, match=r"[Kk]ernel"):
            refusing(torch.rand(1, channels, *sides, dtype=torch.float64))


def test_copies_and_pickles_make_their_blocks_anew():
    convolution = Float64Convolution(frozen(3, 4, kernel_size=3))
    images = torch.randn(1, 3, 6, 6)
    expected = convolution(images)
    for other in (copy.deepcopy(convolution), pickle.loads(pickle.dumps(convolution))):
        assert torch.equal(other(images), expected)


def test_the_operations_refuse_what_they_cannot_read():
    weights = torch.zeros(1, 9, 3, 16, dtype=torch.float64)
    bias, images = torch.zeros(16, dtype=torch.float64), torch.zeros(1, 3, 8, 8, dtype=torch.float64)
    images = images.contiguous(memory_format=torch.channels_last)
    geometry = [3, 3], [1, 1], [1, 1], [1, 1]
    convolve, backward = torch.ops.opticam.convolution, torch.ops.opticam.convolution_backward
    with pytest.raises(RuntimeError, match="must be float64"):
        convolve(images.float(), weights, bias, 4, *geometry)
    with pytest.raises(RuntimeError, match="channels last"):
        convolve(images.contiguous(), weights, bias, 4, *geometry)
    with pytest.raises(RuntimeError, match="one channel or more"):
        convolve(images[:, :0], weights[:, :, :0], bias, 4, *geometry)
    with pytest.raises(RuntimeError, match="weights: expected"):
        convolve(images, weights[:, :, :2].contiguous(), bias, 4, *geometry)
    with pytest.raises(RuntimeError, match="weights: expected"):
        convolve(images, weights, bias, 17, *geometry)
    with pytest.raises(RuntimeError, match="bias: expected"):
        convolve(images, weights, bias[:4], 4, *geometry)
    with pytest.raises(RuntimeError, match="bias: expected"):
        convolve(images, weights, bias.float(), 4, *geometry)
    for name, wrong in (("kernel", [3]), ("stride", [0, 1]), ("padding", [-1, 0]), ("dilation", [1, 1, 1])):
        place = ("kernel", "stride", "padding", "dilation").index(name)
        with pytest.raises(RuntimeError, match=f"{name}.*: expected two numbers"):
            convolve(images, weights, bias, 4, *geometry[:place], wrong, *geometry[place + 1 :])
    with pytest.raises(RuntimeError, match="the kernel is larger"):
        small = images[:, :, :2, :2].contiguous(memory_format=torch.channels_last)
        convolve(small, weights, bias, 4, *geometry[:2], [0, 0], [1, 1])
    with pytest.raises(RuntimeError, match="gradient: its sides"):
        backward(images, weights, 4, [9, 8], *geometry)
    tiled, places = torch.ops.opticam.tiled_convolution, torch.zeros(1, 16, 3, 16, dtype=torch.float64)
    for wrong, what in (
        ((images.float(), places, bias, 4, [1, 1], [1, 1]), "must be float64"),
        ((images.contiguous(), places, bias, 4, [1, 1], [1, 1]), "channels last"),
        ((images[:, :0], places[:, :, :0], bias, 4, [1, 1], [1, 1]), "one channel or more"),
        ((images, weights, bias, 4, [1, 1], [1, 1]), "weights: expected"),
        ((images, places, bias[:4], 4, [1, 1], [1, 1]), "bias: expected"),
        ((images, places, bias, 4, [1], [1, 1]), "padding, dilation: expected"),
        ((images, places, bias, 4, [1, 1], [1, 0]), "padding, dilation: expected"),
        ((images, places, bias, 4, [0, 0], [4, 1]), "the kernel is larger"),
    ):
        with pytest.raises(RuntimeError, match=what):
            tiled(*wrong)
