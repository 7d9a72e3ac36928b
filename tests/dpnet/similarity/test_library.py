"""The compiled library: every instruction set, memory, and what is said when it cannot load."""

from __future__ import annotations

import math
import os
import subprocess
import sys

import pytest
import torch

from dpnet.similarity import library, part_similarity
from dpnet.similarity.backends import select_backend
from reproduce.benchmarks.memory import RESET, peak_bytes

needs_library = pytest.mark.skipif(bool(library.LOAD_ERROR), reason="dpnet._C is not built here")
PROGRAM = """
import torch
from dpnet.similarity import library, part_similarity
from tolerances import assert_close, similarity_sums
torch.manual_seed(0)
parts, regions = torch.randn(77, 50, dtype=torch.float64), torch.randn(3, 23, 50, dtype=torch.float64)
for dtype in (torch.float64, torch.float32):
    inputs = [t.to(dtype).requires_grad_() for t in (parts, regions)]
    results = []
    for backend in ("eager", "cpp"):
        alone = part_similarity(*inputs, backend=backend)[:2]
        scores, argmax, entropy = part_similarity(*inputs, 0.2, backend)
        gradients = torch.autograd.grad(scores.square().sum() + entropy.sum(), inputs)
        entropy = part_similarity(inputs[0], inputs[1].detach(), 0.2, backend)[2]
        gradients += torch.autograd.grad(entropy.sum(), inputs[0])
        results.append((*alone, scores, argmax, entropy, *gradients))
    for eager, cpp in zip(*results):
        assert_close(cpp, eager.to(cpp), max(similarity_sums((77, 3, 23, 50), 0.2)), dtype)
print(library.cpu_instructions())
"""


@needs_library
@pytest.mark.parametrize("instructions", ["baseline", "avx2", "avx512"])
def test_every_instruction_set_agrees_with_eager(instructions):
    environment = os.environ | {"DPNET_CPU_INSTRUCTIONS": instructions, "OMP_NUM_THREADS": "2"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, (*sys.path, os.environ.get("PYTHONPATH"))))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    levels = ["baseline", "avx2", "avx512"]
    assert levels.index(done.stdout.strip()) <= levels.index(instructions)


@needs_library
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("images", [1, 2, 3, 5])
def test_the_bits_are_those_of_one_thread(images, dtype):
    wide = torch.promote_types(dtype, torch.float32)
    parts = torch.randn(700, 140, dtype=wide, generator=torch.Generator().manual_seed(0))
    regions = torch.randn(images, 49, 140, generator=torch.Generator().manual_seed(1)).to(dtype)
    regions[:, 30:40] = regions[:, :10]  # ties
    threads, found = torch.get_num_threads(), []
    try:
        for count in (1, 2, 3, 7):
            torch.set_num_threads(count)
            found.append(
                (
                    *part_similarity(parts, regions, 0.1, "cpp"),
                    part_similarity(parts, regions, None, "cpp")[0],
                )
            )
    finally:
        torch.set_num_threads(threads)
    for other in found[1:]:
        assert all(torch.equal(one, two) for one, two in zip(found[0], other))


@needs_library
@pytest.mark.skipif(not RESET.exists(), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize("temperature", [None, 0.1])
def test_peak_memory_does_not_grow_with_regions_times_parts(temperature):
    parts, regions = torch.randn(3000, 32, requires_grad=True), torch.randn(8, 1015, 32)

    def step():
        scores, _, entropy = part_similarity(parts, regions, temperature, "cpp")
        loss = scores.sum() if entropy is None else scores.sum() + entropy.sum()
        return torch.autograd.grad(loss, parts)

    step()
    similarities = 8 * 1015 * 3000 * 4
    assert peak_bytes(step, "cpu") < similarities / 10


@needs_library
@pytest.mark.skipif(not RESET.exists(), reason="peak memory is read from Linux's /proc")
def test_a_training_step_with_entropy_holds_the_gradient_once():
    """16 MB of parts: their gradient is the result, and all else is less than another."""
    parts = torch.randn(2000, 2048, requires_grad=True)
    regions = torch.nn.functional.normalize(torch.randn(16, 49, 2048), dim=2)

    def step():
        scores, _, entropy = part_similarity(parts, regions, 0.07, "cpp")
        return torch.autograd.grad(scores.sum() + entropy.mean(), parts)

    step()
    assert peak_bytes(step, "cpu") < 0.8 * parts.numel() * 4


@pytest.mark.parametrize(
    ("architectures", "runs", "fails"),
    [
        ("8.0+PTX;9.0a", [(8, 0), (8, 6), (9, 0), (10, 0), (12, 0)], []),
        ("9.0a", [(9, 0)], [(8, 0), (10, 0)]),
        ("8.0", [(8, 0), (8, 9)], [(9, 0)]),
        ("8.6;10.0+PTX", [(8, 6), (8, 9), (10, 0), (12, 0)], [(8, 0), (9, 0)]),
        ("Hopper", [(9, 0)], []),
        ("", [(8, 0)], []),
    ],
)
def test_what_was_built_for_some_gpus_runs_on_those(monkeypatch, architectures, runs, fails):
    """CUDA's rule: code for a.b runs on newer a.x, with an "a" on a.b alone, and PTX on all that is newer."""
    monkeypatch.setattr(library, "LOAD_ERROR", "")
    monkeypatch.setattr(library, "has_operation", lambda name, key: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(library.compiled, "build_facts", lambda package: {"architectures": architectures})
    for gpu in runs + fails:
        monkeypatch.setattr(library, "capability", lambda gpu=gpu: gpu)
        library._gpu_obstacle.cache_clear()
        reason = library.cuda_obstacle()
        assert (reason == "") == (gpu in runs)
        assert not reason or f"was built for {architectures}, this GPU is {gpu[0]}.{gpu[1]}" in reason
    library._gpu_obstacle.cache_clear()


def test_without_the_library_auto_falls_back_and_a_request_by_name_says_why(monkeypatch):
    monkeypatch.setattr(library, "LOAD_ERROR", "dpnet._C is not built")
    parts, regions = torch.randn(3, 8), torch.randn(2, 5, 8)
    assert select_backend("auto", parts, regions) == "eager"
    with pytest.raises(RuntimeError, match=r"'cpp' cannot run.*not built"):
        part_similarity(parts, regions, backend="cpp")


def test_cuda_asked_for_on_cpu_tensors_says_why():
    with pytest.raises(RuntimeError, match="it runs on cuda, not on cpu"):
        part_similarity(torch.randn(3, 8), torch.randn(2, 5, 8), backend="cuda")


@pytest.mark.parametrize(
    ("parts", "regions", "options", "error", "message"),
    [
        (
            torch.zeros(3, 8, dtype=torch.int32),
            torch.zeros(2, 5, 8),
            {},
            TypeError,
            "parts is torch.int32; accepted: float32",
        ),
        ([[1.0]], torch.zeros(2, 5, 8), {}, TypeError, "parts is a list"),
        (torch.zeros(3, 8).double(), torch.zeros(2, 5, 8), {}, TypeError, "both be float64 or neither"),
        (torch.zeros(8), torch.zeros(2, 5, 8), {}, ValueError, r"parts has shape \(8,\); accepted: \[P, d\]"),
        (
            torch.zeros(3, 8),
            torch.zeros(5, 8),
            {},
            ValueError,
            r"regions has shape \(5, 8\); accepted: \[B, R, d\]",
        ),
        (torch.zeros(3, 7), torch.zeros(2, 5, 8), {}, ValueError, "d=7 but regions have d=8"),
        (torch.zeros(3, 8), torch.zeros(2, 0, 8), {}, ValueError, "at least 1"),
        (torch.zeros(3, 8, device="meta"), torch.zeros(2, 5, 8), {}, ValueError, "regions are on cpu"),
        *(
            (torch.zeros(3, 8), torch.zeros(2, 5, 8), {"temperature": value}, ValueError, "temperature is")
            for value in (0.0, -1.0, 1e-38, 1e38, 1e46, math.inf, math.nan)
        ),
        (
            torch.zeros(3, 8),
            torch.zeros(2, 5, 8),
            {"backend": "fast"},
            ValueError,
            "eager, chunked, cpp, cuda",
        ),
    ],
)
def test_bad_input_names_the_argument(parts, regions, options, error, message):
    with pytest.raises(error, match=message):
        part_similarity(parts, regions, **options)
