"""The CUDA sources compile for sm_80 and sm_90 without spilling, within the shared memory of every such GPU."""

from __future__ import annotations

import pandas as pd
import pytest

from reproduce.benchmarks.similarity.compile import compile_report, find_nvcc

KERNELS = {
    "forward_kernel": 8,
    "unit_parts_kernel": 3,
    "merge_shares_kernel": 1,
    "best_region_kernel": 3,
    "assignment_kernel": 3,
    "entropy_slope_kernel": 3,
    "grad_parts_kernel": 3,
    "grad_regions_kernel": 3,
}
SMALLEST_SHARED = 99 * 1024  # a block's limit on compute capability 8.6 and 8.9


@pytest.mark.skipif(find_nvcc() is None, reason="there is no CUDA compiler here")
def test_every_kernel_compiles_without_spills(capsys):
    rows = pd.DataFrame(compile_report())
    with capsys.disabled():
        print("\n" + rows.to_string(index=False))
    for _, kernels in rows.groupby("sm"):
        assert kernels.drop_duplicates(["kernel", "variant"])["kernel"].value_counts().to_dict() == KERNELS
    assert set(rows["sm"]) == {"80", "90"}
    assert (rows["spilled"] == 0).all()
    assert (rows["registers"] <= 255).all()
    assert (rows["shared"] <= SMALLEST_SHARED).all()
