"""What is planned without a GPU: the pixels a cell is part of, launches without Triton's binder, the short way."""

from functools import partial

import pytest
import torch
from at_once import errors_at_once
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from opticam.masking import direct
from opticam.masking.plain import Memory
from opticam.masking.triton import config
from opticam.masking.triton.launcher import Launch


@given(cells=st.integers(1, 40), pixels=st.integers(1, 200))
def test_support_holds_every_pixel_of_a_cell(cells, pixels):
    unit = torch.eye(cells, dtype=torch.float64)[:, None]
    share = interpolate(unit, size=pixels, mode="linear", align_corners=False)[:, 0]
    touched = [row.nonzero().flatten() for row in share]
    widest = max((int(t[-1] - t[0]) + 1 for t in touched if len(t)), default=0)
    assert widest <= config.support(cells, pixels)


@given(cells=st.integers(1, 40), pixels=st.integers(1, 200), most=st.sampled_from([4, 8, 16]))
def test_a_group_of_pixels_lies_between_the_same_two_cells(cells, pixels, most):
    group = config.together(cells, pixels, most)
    assert most % group == 0 and pixels % group == 0
    unit = torch.eye(cells, dtype=torch.float64)[:, None]
    share = interpolate(unit, size=pixels, mode="linear", align_corners=False)[:, 0]
    touched = share.view(cells, pixels // group, group).sum(2) > 0
    first = touched.double().argmax(0)
    last = cells - 1 - touched.flip(0).double().argmax(0)
    assert int((last - first).max()) <= 1


@pytest.mark.parametrize(
    ("cells", "pixels", "group"),
    [(7, 224, 16), (14, 224, 8), (28, 224, 4), (1, 64, 16), (5, 101, 1), (9, 9, 1)],
)
def test_half_a_cell_is_a_group(cells, pixels, group):
    assert config.together(cells, pixels, most=16) == group


@pytest.mark.parametrize("width", [1, 33, 224, 1024, 1025, 5000])
@pytest.mark.parametrize("size", [2, 4])
def test_blocks_of_rows_cover_every_pixel(width, size):
    row = config.row(7, 50, width, size)
    assert (row["CHUNKS"] - 1) * row["BLOCK_X"] < width <= row["CHUNKS"] * row["BLOCK_X"]
    assert row["BLOCK_X"] & (row["BLOCK_X"] - 1) == 0 and row["BLOCK_Y"] & (row["BLOCK_Y"] - 1) == 0


class Kernel:
    """Stands for a Triton kernel: it notes its calls and gives out a compiled one that notes its own."""

    arg_names = ("first", "second", "count", "K", "BLOCK")
    function, packed_metadata = "function", "metadata"

    def __init__(self):
        self.bound, self.ran = [], []

    def __getitem__(self, grid):
        def call(*arguments, **constants):
            self.bound.append((grid, arguments, constants))
            return self

        return call

    def run(self, *arguments):
        self.ran.append(arguments)


@pytest.fixture
def stream(monkeypatch):
    monkeypatch.setattr(torch._C, "_cuda_getCurrentRawStream", lambda device: 77, raising=False)


def test_a_launch_is_bound_once_and_then_run_with_addresses(stream):
    kernel = Kernel()
    launch = Launch(kernel, (3, 5), (9,), K=4, BLOCK=64, num_warps=8)
    first, second = torch.zeros(64), torch.zeros(64)
    launch(first, second)
    assert kernel.bound == [((3, 5), (first, second, 9), {"K": 4, "BLOCK": 64, "num_warps": 8})]
    assert kernel.ran == []
    launch(second, first)
    assert len(kernel.bound) == 1
    pointers = second.data_ptr(), first.data_ptr()
    assert kernel.ran == [(3, 5, 1, 77, "function", "metadata", None, None, None, *pointers, 9, 4, 64)]


def test_tensors_off_sixteen_bytes_go_through_the_binder(stream):
    kernel = Kernel()
    launch = Launch(kernel, (3,), (9,), K=4, BLOCK=64)
    aligned, shifted = torch.zeros(64), torch.zeros(64)[1:]
    launch(aligned, shifted)  # compiled for any address: not kept
    launch(aligned, aligned)
    launch(aligned, shifted)
    assert len(kernel.bound) == 3 and kernel.ran == []
    launch(aligned, aligned)
    assert len(kernel.bound) == 3 and len(kernel.ran) == 1


def planned(kind, height, count=2):
    """The plan of one image of `height` rows of 1024 pixels."""
    plans = pytest.importorskip("opticam.masking.triton.plans", reason="Triton is not installed here")
    features, images, float32 = torch.Size((1, 8, 7, 7)), torch.Size((1, 3, height, 1024)), torch.float32
    if kind == "forward":
        return plans.forward_plan(features, images, False, "range", (float32,) * 3, torch.device("cpu"))
    if kind == "backward":
        sizes = features, images, False, "range", (float32,) * 3, torch.device("cpu")
        return plans.backward_plan(*sizes, True, False, None, False)
    if kind == "channel":
        return plans.channel_plan(features, images, count, (float32,) * 3, 0)
    return plans.step_plan(images, count, (0, 0, 0, 0), (torch.int64, float32, torch.int64), 0)


@pytest.mark.parametrize("kind", ["forward", "backward", "channel", "step"])
def test_images_beyond_cudas_grid_are_refused_by_name(kind):
    """Programs of 1024 pixels, along an axis of at most 2^16 - 1."""
    planned(kind, 2**16 - 1)
    with pytest.raises(ValueError, match=r'images, features: too large .* backend="eager"'):
        planned(kind, 2**16)


@pytest.mark.parametrize("kind", ["channel", "step"])
def test_more_masks_than_that_are_planned(kind):
    assert planned(kind, 8, count=2**16).grid[0] == 2**16


def test_the_short_way_is_for_cuda_tensors_only():
    features, logits_u, images = torch.rand(2, 3, 4, 4), torch.zeros(2, 3), torch.rand(2, 3, 8, 8)
    assert not direct.possible(features, logits_u, images)
    assert direct.saliency_mask(features, logits_u, images, "range", "auto") is None
    assert direct.saliency_mask(features, None, "images", "range", "auto") is None
    assert direct.channel_masks(features, images, [0, 1], "auto") is None
    assert direct.step_masks(torch.zeros(2, 8, 8).long(), images, images, [3], "auto") is None


def test_what_was_checked_is_bounded(monkeypatch):
    monkeypatch.setattr(Memory, "KEPT", 3)
    memory = Memory()
    assert [memory.remember((number,), number % 2 == 0) for number in range(5)] == [True, False] * 2 + [True]
    assert list(memory) == [(2,), (3,), (4,)]


def test_threads_may_check_at_once(monkeypatch):
    monkeypatch.setattr(Memory, "KEPT", 64)
    memory = Memory()

    def check(thread):
        for number in range(30_000):
            memory.remember((thread, number), True)

    assert errors_at_once([partial(check, number) for number in range(4)]) == [] and len(memory) == 64


@pytest.mark.parametrize("place", [0, 1])
def test_tensors_of_another_dtype_go_through_the_binder(stream, place):
    """A compiled kernel reads one dtype only: given another, it would read wrong numbers past the end."""
    kernel = Kernel()
    launch = Launch(kernel, (3,), (9,), K=4, BLOCK=64)
    tensors = [torch.zeros(64), torch.zeros(64)]
    launch(*tensors)
    tensors[place] = tensors[place].bfloat16()
    launch(*tensors)
    assert len(kernel.bound) == 2 and kernel.ran == []
    assert kernel.bound[1][1][place].dtype == torch.bfloat16
    tensors[place] = tensors[place].float()
    launch(*tensors)
    assert len(kernel.bound) == 2 and len(kernel.ran) == 1
