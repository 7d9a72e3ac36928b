"""The memory that the benchmark of part training tells of on a GPU."""

import pytest
import torch

from dpnet.similarity.library import cuda_obstacle
from reproduce.benchmarks import part_training

pytestmark = pytest.mark.skipif(bool(cuda_obstacle()), reason=cuda_obstacle() or "it runs")


def test_the_peak_is_that_of_the_side_not_of_what_ran_before(tmp_path, monkeypatch):
    monkeypatch.setattr(part_training, "SHAPE", (8, 2, 2))
    before = torch.ones(1_000_000_000, dtype=torch.uint8, device="cuda")
    del before
    features = part_training.stand_in(tmp_path, 5)
    rows = part_training.measure(features, 3, (), part_training.part_similarity, "cuda")
    assert all(row["gpu_mb"] < 500 for row in rows)
