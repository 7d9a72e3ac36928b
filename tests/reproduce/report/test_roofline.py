"""The roofline, from rows whose operations, bytes and times are known."""

import pandas as pd
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from reproduce.report.kernel_figures import SIMILARITY
from reproduce.report.roofline import Roofs, masking_work, points, roofs, similarity_work

WORK = {
    "shape": "s",
    "B": 4,
    "R": 9,
    "P": 30,
    "d": 16,
    "precision": "float32",
    "pass": "forward",
    "entropy": "no",
}


@pytest.mark.parametrize("entropy", ["no", "yes"])
@pytest.mark.parametrize("backward", [False, True])
def test_operations_of_similarity_are_those_that_pytorch_counts_in_its_products(entropy, backward):
    """Beside a softmax; without an entropy only the argmax regions take part in the backward pass."""
    row = pd.Series(WORK | {"entropy": entropy, "pass": "forward + backward" if backward else "forward"})
    parts = torch.randn(30, 16, requires_grad=True)
    regions = torch.randn(4, 9, 16)
    with FlopCounterMode(display=False) as counter:
        similarity = torch.einsum("pd,brd->brp", parts, regions)
        if backward and entropy == "yes":
            similarity.sum().backward()
        elif backward:  # one product of a part's gradient and its region for each image
            torch.einsum("bp,bpd->pd", torch.ones(4, 30), regions[:, :1].expand(-1, 30, -1))
    softmax = 4 * 4 * 9 * 30 if entropy == "yes" else 0
    assert similarity_work(row)[0] == counter.get_total_flops() + softmax


def test_bytes_of_similarity_are_the_tensors_that_cross_memory():
    parts, regions = torch.zeros(30, 16), torch.zeros(4, 9, 16)
    scores, argmax, entropy = torch.zeros(4, 30), torch.zeros(4, 30, dtype=torch.int32), torch.zeros(4, 9)
    once = sum(tensor.nbytes for tensor in (parts, regions, scores, argmax))
    assert similarity_work(pd.Series(WORK))[1] == once
    assert similarity_work(pd.Series(WORK | {"entropy": "yes"}))[1] == once + entropy.nbytes
    half = similarity_work(pd.Series(WORK | {"precision": "bfloat16"}))[1]
    assert once - half == regions.nbytes - regions.bfloat16().nbytes
    both = similarity_work(pd.Series(WORK | {"pass": "forward + backward"}))[1]
    assert (
        both == once + parts.nbytes + regions.nbytes + scores.nbytes
    )  # their gradients, and the regions again


def test_work_of_masking_is_that_of_its_sizes():
    row = pd.Series({"operation": "step_masks", "shape": "VGG-16", "batch": 2, "moved_mb": 3.0})
    assert masking_work(row) == (2 * 8 * 224 * 224 * 4, 3e6)
    row["operation"] = "channel_masks"
    assert masking_work(row)[0] == 2 * 16 * 224 * 224 * (7 + 2 + 3)
    row["operation"] = "saliency_mask forward"
    assert masking_work(row)[0] == 2 * (4 * 512 + 2 * 512 * 14 * 14 + 224 * 224 * (7 + 2 + 3))


def test_a_point_is_work_over_bytes_and_over_time():
    rows = pd.DataFrame(
        [
            WORK | {"implementation": "ours (auto)", "least_ms": 2.0},
            WORK | {"implementation": "eager max", "least_ms": 8.0},
            WORK | {"implementation": "eager amax", "least_ms": 4.0},
        ]
    )
    operations, moved = similarity_work(rows.iloc[0])
    own, eager = points(SIMILARITY, rows).itertuples(index=False)
    assert tuple(own) == ("part similarity forward", "ours", operations / moved, operations / 2e-3 / 1e9)
    assert tuple(eager)[1:] == ("eager", operations / moved, operations / 4e-3 / 1e9)


def test_roofs_are_the_copy_of_the_largest_work_and_the_fastest_product_of_each_precision():
    masking = pd.DataFrame({"moved_mb": [1.0, 50.0, 2.0], "copy_gb_s": [90.0, 40.0, 80.0]})
    work = {"B": 1, "R": 10, "P": 100, "d": 500}
    similarity = pd.DataFrame(
        [
            work | {"precision": "float32", "product_ms": 0.02},
            work | {"precision": "float32", "product_ms": 0.01},
            work | {"precision": "bfloat16", "product_ms": 0.005},
        ]
    )
    found = roofs(masking, similarity)
    assert found.bandwidth == 40.0 and found.products == pytest.approx({"float32": 100.0, "bfloat16": 200.0})
    assert roofs(pd.DataFrame(), pd.DataFrame()) == Roofs(None, {})
