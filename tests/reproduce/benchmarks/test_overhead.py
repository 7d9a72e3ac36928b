"""The host's overhead: CPU tensors go the CUDA tensors' way, nothing stays changed, and what is timed is reported."""

import sys

import pandas as pd
import pytest
import torch

pytest.importorskip("triton", reason="Triton is not installed on this platform")

from opticam.masking import MaskOptimizer, channel_masks, direct, saliency_mask, step_masks
from opticam.masking.triton import forward, plans
from reproduce.benchmarks.overhead import __main__ as overhead
from reproduce.benchmarks.overhead.doubles import cpu_for_cuda
from reproduce.benchmarks.overhead.report import BASE, GOALS, summary

FORWARD = ["combine_kernel", "mask_kernel"]
BACKWARD = ["row_kernel", "cell_kernel", "project_kernel"]


def inputs():
    torch.manual_seed(0)
    return torch.rand(2, 9, 4, 4), torch.randn(2, 9), torch.rand(2, 3, 16, 20)


@pytest.fixture
def ran():
    kernels = []
    with cpu_for_cuda(kernels):
        yield kernels


@pytest.mark.parametrize("calls", [1, 2])
def test_the_short_way_runs_two_kernels_forward_and_three_backward(ran, calls):
    features, logits_u, images = inputs()
    logits_u.requires_grad_()
    for _ in range(calls):
        ran.clear()
        masked, saliency_map = saliency_mask(features, logits_u, images)
        assert ran == FORWARD
        (gradient,) = torch.autograd.grad(masked, logits_u, images)
        assert ran == FORWARD + BACKWARD
    assert masked.shape == images.shape and saliency_map.shape == (2, 16, 20)
    assert gradient.shape == logits_u.shape


def test_the_operator_runs_the_same_kernels(ran):
    features, logits_u, images = inputs()
    outputs = torch.ops.opticam.saliency_mask(features, logits_u.requires_grad_(), images, "range")
    torch.autograd.grad(outputs[0], logits_u, images)
    assert ran == FORWARD + BACKWARD
    ran.clear()
    torch.ops.opticam.saliency_mask(features.double(), logits_u.detach(), images, "range")
    assert ran == []  # float64 is left to plain PyTorch


def test_an_iteration_runs_five_kernels_and_masks_run_one(ran):
    features, _, images = inputs()
    optimizer = MaskOptimizer(features, images)
    optimizer.step(torch.rand_like(optimizer.mask()))
    assert ran == FORWARD + BACKWARD
    ran.clear()
    assert channel_masks(features, images, torch.zeros(2, 5).long()).shape == (2, 5, 3, 16, 20)
    assert step_masks(torch.zeros(2, 16, 20).long(), images, images, torch.arange(4)).shape[1] == 4
    assert ran == ["channel_kernel", "step_kernel"]


def test_features_and_images_are_constants(ran):
    features, logits_u, images = (tensor.requires_grad_() for tensor in inputs())
    masked, _ = saliency_mask(features, logits_u, images)
    masked.sum().backward()
    assert logits_u.grad is not None and features.grad is None and images.grad is None


def test_the_gradient_is_not_differentiated_again(ran):
    features, logits_u, images = inputs()
    masked, _ = saliency_mask(features, logits_u.requires_grad_(), images)
    weight = torch.rand_like(images).requires_grad_()
    for upstream in (weight, torch.ones_like(images)):
        found = torch.autograd.grad(masked, logits_u, upstream, create_graph=True, retain_graph=True)
        with pytest.raises(RuntimeError, match="differentiated again"):
            found[0].sum().backward()


def test_an_image_changed_between_is_noticed(ran):
    features, logits_u, images = inputs()
    masked, _ = saliency_mask(features, logits_u.requires_grad_(), images)
    images.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        masked.sum().backward()


def test_other_dtypes_and_layouts_have_plans_of_their_own(ran):
    features, logits_u, images = inputs()
    last = images.contiguous(memory_format=torch.channels_last)
    half = images.bfloat16()
    for given in (images, last, half):
        masked, saliency_map = saliency_mask(features, logits_u, given)
        assert (masked.dtype, masked.stride()) == (given.dtype, given.stride())
        assert saliency_map.dtype == torch.float32 and saliency_map.is_contiguous()
    assert plans.forward_plan.cache_info().currsize == 3
    assert ran == FORWARD * 3


def test_a_plan_holds_three_numbers(ran):
    features, _, images = inputs()
    dtypes = (torch.float32,) * 3
    _, _, *blanks = plans.forward_plan(features.shape, images.shape, False, "range", dtypes, images.device)
    assert [blank.untyped_storage().nbytes() for blank in blanks] == [4, 4, 4]
    assert all(torch.empty_like(blank).is_contiguous() for blank in blanks)


def test_nothing_stays_changed():
    kernel, possible = forward.mask_kernel, direct.possible
    features, logits_u, images = inputs()
    before = saliency_mask(features, logits_u, images)
    with cpu_for_cuda():
        saliency_mask(features, logits_u, images)
    after = saliency_mask(features, logits_u, images)
    assert forward.mask_kernel is kernel and direct.possible is possible
    assert plans.forward_plan.cache_info().currsize == 0 and direct._checked == {}
    assert all(torch.equal(*pair) for pair in zip(before, after))


def test_a_run_times_every_layer_and_the_next_has_nothing_to_do(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(overhead, "SECONDS", 0.0005)
    options = ("--turns", "2", "--changed-only", "--out", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["host-overhead", *options])
    monkeypatch.setattr("reproduce.benchmarks.harness.COMMITTED", tmp_path / "none")
    overhead.main()
    path = tmp_path / "host_overhead_cpu.csv"
    first = path.read_bytes()
    overhead.main()
    assert path.read_bytes() == first
    rows = pd.read_csv(path)
    assert (rows["microseconds"] > 0).all() and rows["turn"].max() == 1
    assert {BASE, *GOALS} <= set(rows["layer"])
    assert (tmp_path / "host_overhead_cpu.md").read_text().strip() in capsys.readouterr().out
    assert (tmp_path / "host_overhead_cpu.svg").is_file()


def test_the_gpu_s_own_time_is_not_the_host_s(monkeypatch):
    """By a clock on which a call takes the host 1 ms, and the GPU 3 ms, after all that was submitted before."""
    now, ready, waiting = [0.0], [0.0], [0]

    def call():
        now[0], waiting[0] = now[0] + 0.001, waiting[0] + 1
        ready[0] = max(now[0], ready[0]) + 0.003
        assert waiting[0] <= overhead.IN_A_ROW < 50

    def synchronize():
        now[0], waiting[0] = max(now[0], ready[0]), 0

    monkeypatch.setattr(overhead.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    times = overhead.host_milliseconds(call, 0.5)
    assert len(times) > 3 and times == pytest.approx([1.0] * len(times))
    assert now[0] >= ready[0]


def test_ratios_are_of_medians():
    rows = pd.DataFrame(
        {
            "step": ["masking"] * 6 + ["part similarity"] * 2,
            "layer": [BASE] * 3 + ["saliency_mask, forward"] * 3 + [BASE, "part_similarity, forward"],
            "microseconds": [1.0, 2.0, 90.0, 5.0, 6.0, 7.0, 1.0, 4.0],
        }
    )
    table = summary(rows).set_index(["step", "layer"])
    masking, similarity = table.loc["masking"], table.loc["part similarity"]
    assert masking["x torch.mul"].to_dict() == {BASE: 1.0, "saliency_mask, forward": 3.0}
    assert masking["goal on a GPU"]["saliency_mask, forward"] == pytest.approx(2.727, abs=1e-3)
    assert similarity["x torch.mul"].to_dict() == {BASE: 1.0, "part_similarity, forward": 4.0}
