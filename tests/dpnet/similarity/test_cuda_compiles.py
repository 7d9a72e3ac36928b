"""The CUDA sources compile for every architecture without spilling, within the shared memory of every such GPU."""

from __future__ import annotations

import pandas as pd
import pytest

from reproduce.benchmarks.similarity.compile import ARCHITECTURES, compile_report, find_nvcc

KERNELS = {
    "forward_kernel": 8,
    "not_finite_kernel": 1,
    "unit_parts_kernel": 4,
    "reduce_kernel": 8,
    "extend_shares_kernel": 2,
    "slope_kernel": 8,
    "add_kernel": 4,
    "turn_parts_kernel": 2,
    "grad_parts_kernel": 3,
    "grad_regions_kernel": 3,
}
ON_HOPPER = {"hopper_kernel": 14}
LARGEST_SHARED = 227 * 1024  # a block's limit on compute capability 9.0
ONE_NUMBER = 8  # bytes; with entropy the reduction of float64 products stores and loads one, on Blackwell
SMALLEST_SHARED = 99 * 1024  # a block's limit on compute capability 8.6 and 8.9


@pytest.mark.skipif(find_nvcc() is None, reason="there is no CUDA compiler here")
def test_every_kernel_compiles_without_spills(capsys):
    rows = pd.DataFrame(compile_report())
    with capsys.disabled():
        print("\n" + rows.to_string(index=False))
    for sm, kernels in rows.groupby("sm"):
        counts = kernels.drop_duplicates(["kernel", "variant"])["kernel"].value_counts().to_dict()
        assert counts == KERNELS | (ON_HOPPER if sm == "90a" else {})
    assert set(rows["sm"]) == set(ARCHITECTURES)
    assert (rows["spilled"] <= rows["sm"].map(lambda sm: ONE_NUMBER if sm == "100" else 0)).all()
    assert (rows["registers"] <= 255).all()
    hopper = rows["kernel"] == "hopper_kernel"
    assert (rows["shared"] <= hopper.map({True: LARGEST_SHARED, False: SMALLEST_SHARED})).all()
    # Sixteen bytes a lane is what the kernels around a product were laid out for; tiles and products are hardware's.
    reduce = rows["kernel"] == "reduce_kernel"
    slope = (rows["kernel"] == "slope_kernel") & rows["variant"].str.contains(
        "entropy"
    )  # alone, it reads no product
    assert reduce.any() and (rows[reduce]["loads"] == "128").all()
    assert slope.any() and rows[slope]["loads"].str.endswith("-128").all()
    assert (rows[slope]["stores"] == "128").all()
    exact = rows["variant"].str.startswith("tf32x3")
    assert (rows[hopper]["products"] == exact[hopper].map({False: 4, True: 12})).all() and (
        rows[hopper]["tiles"] >= 2
    ).all()
