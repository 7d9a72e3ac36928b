"""What only the C++ library promises: the same bits for any batch and thread count, on any instruction set."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from opticam.masking import ops, saliency_mask

pytestmark = pytest.mark.skipif(bool(ops.CPP_REASON), reason=ops.CPP_REASON or "built")


def run(features, logits_u, images):
    logits_u = logits_u.detach().clone().requires_grad_()
    masked, saliency_map = saliency_mask(features, logits_u, images, backend="cpp")
    (gradient,) = torch.autograd.grad(masked.square().sum(), logits_u)
    return masked.detach(), saliency_map.detach(), gradient


def test_an_image_does_not_depend_on_its_batch():
    inputs = torch.randn(5, 700, 7, 7), torch.randn(5, 700), torch.rand(5, 3, 64, 61)
    together = run(*inputs)
    alone = run(*(t[3:4] for t in inputs))
    assert all(torch.equal(a[3:4], b) for a, b in zip(together, alone))


def test_results_do_not_depend_on_threads():
    inputs = torch.randn(2, 700, 7, 7), torch.randn(2, 700), torch.rand(2, 3, 64, 61)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        one = run(*inputs)
        torch.set_num_threads(3)
        three = run(*inputs)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(a, b) for a, b in zip(one, three))


TESTS = Path(__file__).parents[2]
CHECK = """
import torch
from opticam.masking import saliency_mask
from tolerances import assert_as_accurate
torch.manual_seed(0)
features, logits_u, images = torch.randn(2, 63, 7, 5), torch.randn(2, 63), torch.rand(2, 3, 101, 67)
def run(f, u, x, normalization, backend):
    u = u.clone().requires_grad_()
    masked, maps = saliency_mask(f, u, x, normalization, backend)
    return masked, maps, torch.autograd.grad(masked.sum() + maps.square().sum(), u)[0]
for normalization in ("range", "max", "sigmoid"):
    exact = run(features.double(), logits_u.double(), images.double(), normalization, "eager")
    eager = run(features, logits_u, images, normalization, "eager")
    ours = run(features, logits_u, images, normalization, "cpp")
    for truth, theirs, mine in zip(exact, eager, ours):
        assert_as_accurate(mine, theirs, truth, 63 + 3 * 101 * 67)
print(torch.ops.opticam.instruction_set(), torch.backends.cpu.get_cpu_capability())
"""


@pytest.mark.parametrize("capability", ["default", "avx2", None])
def test_every_instruction_set_is_accurate(capability):
    paths = [str(TESTS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = dict(os.environ, OMP_NUM_THREADS="1", PYTHONPATH=os.pathsep.join(paths))
    environment.pop("ATEN_CPU_CAPABILITY", None)
    if capability:
        environment["ATEN_CPU_CAPABILITY"] = capability
    result = subprocess.run([sys.executable, "-c", CHECK], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    ours, pytorchs = result.stdout.split()
    assert ours == {"DEFAULT": "baseline", "AVX2": "AVX2"}.get(pytorchs, "AVX-512")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_sixteen_bit_images_are_read_and_rounded_as_pytorch_does(dtype):
    """Every pattern of 16 bits as a pixel, times the map, against PyTorch's own conversions: bit for bit."""
    patterns = torch.arange(-(2**15), 2**15).to(torch.int16).view(dtype).view(1, 1, 256, 256)
    features = torch.rand(1, 3, 7, 5, generator=torch.Generator().manual_seed(0))
    masked, saliency_map = saliency_mask(features, torch.zeros(1, 3), patterns, backend="cpp")
    expected = (patterns.float() * saliency_map[:, None]).to(dtype)
    assert torch.equal(masked.isnan(), expected.isnan())
    finite = ~expected.isnan()
    assert torch.equal(masked[finite].view(torch.int16), expected[finite].view(torch.int16))


FEATURES = torch.rand(1, 5, 3, 3).repeat(2, 1, 1, 1)  # so that those of one image serve both
LOGITS, IMAGES = torch.zeros(2, 5), torch.rand(2, 3, 9, 8)
_, MAPS, WEIGHTS, SURFACE = ops.IMPLEMENTATIONS["saliency_mask"](FEATURES, LOGITS, IMAGES, "range")
RANKS, WHOLE = torch.arange(144).view(2, 9, 8), torch.ones(2, dtype=torch.int64)
CALLS = {
    "saliency_mask": (FEATURES, LOGITS, IMAGES, "range"),
    "saliency_mask_backward": (IMAGES, MAPS, FEATURES, IMAGES, MAPS, WEIGHTS, SURFACE, "range"),
    "channel_masks": (FEATURES, IMAGES, WHOLE[:, None]),
    "step_masks": (RANKS, IMAGES, IMAGES, WHOLE),
}


def other_sizes_and_dtypes(tensor):
    sizes = tensor[:-1], torch.cat([tensor, tensor]), torch.cat([tensor, tensor], -1), tensor[..., :0]
    return *sizes, tensor[0], tensor[None], tensor.byte(), tensor.double(), tensor.bool()


@pytest.mark.parametrize(("name", "given"), CALLS.items(), ids=CALLS)
def test_operations_called_directly_refuse_what_does_not_fit_or_do_as_defined(name, given):
    refused = dict.fromkeys((place for place, one in enumerate(given) if torch.is_tensor(one)), 0)
    for place in refused:
        for other in other_sizes_and_dtypes(given[place]):
            changed = *given[:place], other, *given[place + 1 :]
            try:
                found = getattr(torch.ops.opticam, name)(*changed)
            except RuntimeError:
                refused[place] += 1
                continue
            expected = ops.IMPLEMENTATIONS[name](*changed)
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)  # of sums in float32
    assert min(refused.values()) >= 4, refused
