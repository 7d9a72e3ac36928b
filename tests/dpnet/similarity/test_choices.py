"""The table by which "auto" chooses on a GPU: written from a benchmark's rows, read by the nearest case."""

from __future__ import annotations

import sys

import pandas as pd
import pytest
import torch

from dpnet.similarity import backends, choices, chunked, cuda, hopper, library
from reproduce.benchmarks.similarity import choices as writer


def row(implementation, milliseconds, shape="small", precision="bfloat16", extra=1.0, **changed):
    sizes = {"small": (49, 100, 128), "large": (196, 2000, 512)}[shape]
    return {
        **{"shape": shape, "precision": precision, "pass": "forward", "entropy": "no"},
        **{"implementation": implementation, "median_ms": milliseconds, "extra_mb": extra},
        **{"capability": "9.0", "B": 64, "R": sizes[0], "P": sizes[1], "d": sizes[2]},
    } | changed


ROWS = pd.DataFrame(
    [
        row("ours (auto)", 1.2),
        row("ours (chunked)", 1.1),
        row("ours (hopper)", 1.3),
        row("ours (eager)", 1.0),
        row("eager amax, parts last", 0.9),
        row("torch.compile max", 0.1),
        row("ours (auto)", 2.0, "large"),
        row("ours (chunked)", 2.0, "large"),
        row("ours (hopper)", 1.95, "large"),
        row("ours (eager)", 1.94, "large", extra=50.0),
        row("ours (auto)", 3.0, precision="float32"),
        row("ours (cuda)", 2.9, precision="float32"),
        row("ours (chunked)", 3.1, precision="float32"),
    ]
)


@pytest.fixture
def table(tmp_path, monkeypatch):
    rows, path = tmp_path / "rows.csv", tmp_path / "fastest.csv"
    ROWS.to_csv(rows, index=False)
    monkeypatch.setattr(sys, "argv", ["choices", str(rows), "--out", str(path)])
    monkeypatch.setattr(choices, "TABLE", path)
    for cached in (choices.fastest, choices._rows):
        cached.cache_clear()
    yield path
    for cached in (choices.fastest, choices._rows):
        cached.cache_clear()


def case(regions=49, parts=100, depth=128, **changed):
    kind = {"capability": "9.0", "precision": "bfloat16", "way": "forward", "entropy": "no"}
    return choices.Case(**kind | {"regions": regions, "parts": parts, "depth": depth} | changed)


def test_the_fastest_of_ours_is_taken_and_eager_only_where_it_is_small(table, capsys):
    writer.main()
    assert pd.read_csv(table)["backend"].tolist() == ["eager", "hopper", "cuda"]
    said = capsys.readouterr().out
    assert "auto was 33% slower: small, bfloat16, forward, no" in said
    assert "large" not in said and "float32" not in said


def test_the_nearest_case_of_the_same_kind_decides(table):
    writer.main()
    assert choices.fastest(case()) == "eager"
    assert choices.fastest(case(60, 90, 200)) == "eager"
    assert choices.fastest(case(1015, 1000, 512)) == "hopper"
    assert choices.fastest(case(precision="float32")) == "cuda"
    for other in (
        {"capability": "8.0"},
        {"way": "forward + backward"},
        {"entropy": "yes"},
        {"precision": "tf32"},
    ):
        assert choices.fastest(case(**other)) is None


class OnGpu:
    """Stands for regions on a GPU, for what is decided before anything runs."""

    is_cuda = True
    device = torch.device("cuda", 0)

    def __init__(self, shape, dtype):
        self.shape, self.dtype = shape, dtype

    def __len__(self):
        return self.shape[0]

    def element_size(self):
        return self.dtype.itemsize


@pytest.fixture
def gpu(monkeypatch):
    for module in (chunked, cuda, hopper):
        monkeypatch.setattr(module, "obstacle", lambda device, dtype: "")
    monkeypatch.setattr(library, "capability", lambda: (9, 0))


def chosen(shape, dtype, parts=100, **asked):
    return backends.select_backend("auto", torch.empty(parts, shape[2]), OnGpu(shape, dtype), **asked)


def test_without_a_table_exact_float32_is_the_kernels_and_the_rest_the_library(gpu, table):
    assert chosen((2, 49, 128), torch.float32) == "cuda"
    for dtype in (torch.bfloat16, torch.float16, torch.float64):
        assert chosen((2, 49, 128), dtype, with_entropy=True, trains=True) == "chunked"


def test_the_table_decides_what_can_run_within_bounded_memory(gpu, table, monkeypatch):
    writer.main()
    assert chosen((2, 49, 128), torch.bfloat16) == "eager"
    assert chosen((2, 49, 128), torch.float16) == "eager"
    assert chosen((4000, 49, 128), torch.bfloat16) == "chunked"  # 39 MB of similarities
    assert chosen((2, 196, 512), torch.bfloat16, 2000) == "hopper"
    monkeypatch.setattr(hopper, "obstacle", lambda device, dtype: "not built")
    assert chosen((2, 196, 512), torch.bfloat16, 2000) == "chunked"
    assert chosen((2, 49, 128), torch.bfloat16, with_entropy=True) == "chunked"  # not measured


def test_no_table_is_read_where_torch_compile_traces(gpu, monkeypatch):
    monkeypatch.setattr(choices, "fastest", None)
    assert not backends.gives_gradient("auto", torch.empty(100, 128), OnGpu((2, 49, 128), torch.bfloat16))


@pytest.mark.parametrize(
    ("shape", "dtype", "parts", "makes"),
    [
        ((64, 196, 512), torch.bfloat16, 2000, True),
        ((64, 49, 512), torch.bfloat16, 2000, False),  # scores would need a product of their own
        ((64, 196, 512), torch.float64, 200, False),  # float64 is not gathered
        ((64, 196, 2048), torch.bfloat16, 10000, False),  # 82 MB with what is added to the gradient
    ],
)
def test_a_gpu_makes_the_entropies_gradient_forward_where_that_saves_a_product(
    gpu, shape, dtype, parts, makes
):
    arguments = torch.empty(parts, shape[2], device="meta"), OnGpu(shape, dtype)
    assert backends.makes_gradient("chunked", *arguments) == makes
    for other in ("cuda", "hopper", "eager"):
        assert not backends.makes_gradient(other, *arguments)
