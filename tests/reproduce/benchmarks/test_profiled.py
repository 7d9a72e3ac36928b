"""What a profiler is given to look at: every backend that runs, in each precision, both ways."""

from __future__ import annotations

import itertools
import sys

import pytest
import torch

from dpnet.similarity import cpu
from reproduce.benchmarks import profiled


@pytest.fixture
def small(monkeypatch):
    (shape,) = (shape for shape in profiled.products.SHAPES if shape.name == profiled.products.QUICK[0])
    monkeypatch.setattr(profiled.products, "SHAPES", (type(shape)(shape.name, 2, 2, 9, 20, 16),))
    monkeypatch.setattr(profiled.masks, "SHAPES", (profiled.masks.Shape("small", 17, 3),))
    monkeypatch.setattr(profiled, "IMAGES", 1)


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["profiled", *arguments, "--device", "cpu"])
    profiled.main()


@pytest.mark.skipif(bool(cpu.obstacle("cpu", torch.float32)), reason="dpnet._C is not built here")
def test_every_backend_runs_in_each_precision_with_and_without_entropy(monkeypatch, small):
    asked, part_similarity = [], profiled.part_similarity

    def recorded(parts, regions, temperature, backend):
        asked.append((backend, regions.dtype, temperature is not None))
        return part_similarity(parts, regions, temperature, backend)

    monkeypatch.setattr(profiled, "part_similarity", recorded)
    run(monkeypatch, "similarity")
    kinds = itertools.product(("chunked", "cpp"), (torch.float32, torch.bfloat16), (False, True))
    assert set(asked) == set(kinds)


def test_every_masking_operation_runs(monkeypatch, small):
    called = []
    for name in ("saliency_mask", "channel_masks", "step_masks"):
        operation = getattr(profiled, name)
        monkeypatch.setattr(
            profiled,
            name,
            lambda *arguments, _name=name, _run=operation: called.append(_name) or _run(*arguments),
        )
    run(monkeypatch, "masking")
    assert called == ["saliency_mask", "channel_masks", "step_masks"]


def test_an_unknown_step_is_refused(monkeypatch, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "mask")
    assert "mask is none of masking, similarity" in capsys.readouterr().err
