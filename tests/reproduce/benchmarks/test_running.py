"""Benchmarks run small from the command line, and measure again only what changed."""

import re
import sys
from argparse import Namespace

import pandas as pd
import pytest
import torch

from reproduce.benchmarks import harness, localization, part_training
from reproduce.benchmarks.causal import __main__ as causal
from reproduce.benchmarks.masking import __main__ as masking
from reproduce.workspace.paths import PUBLISHED

RUNS = {
    "localization": (localization.main, "--maps", "2", "--repeats", "1"),
    "causal": (causal.main, "--images", "1", "--repeats", "1", "--network", "sample_vgg"),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_has_this_machines_rows_alone_and_the_next_one_has_nothing_to_do(
    tmp_path, name, monkeypatch, capsys
):
    main, *options = RUNS[name]
    monkeypatch.setattr(sys, "argv", [name, *options, "--changed-only", "--out", str(tmp_path)])
    main()
    path = tmp_path / f"{name}_cpu.csv"
    committed, first = pd.read_csv(PUBLISHED / "benchmarks" / path.name), path.read_bytes()
    rows = pd.read_csv(path)
    assert rows["sources"].nunique() == 1
    assert set(committed.columns) <= set(rows.columns)
    capsys.readouterr()
    main()
    assert capsys.readouterr().out.strip() == path.with_suffix(".md").read_text().strip()
    assert path.read_bytes() == first
    monkeypatch.setattr(harness, "COMMITTED", tmp_path)
    monkeypatch.setattr(sys, "argv", [*sys.argv[:-1], str(tmp_path / "elsewhere")])
    main()  # nothing is measured, and the report is written
    assert (tmp_path / "elsewhere" / path.name).read_bytes() == first


def test_what_torch_compile_makes_of_masking_is_checked(monkeypatch):
    """The doubled masks of a compiler that goes wrong."""

    def wrong(function, **options):
        return lambda *given: tuple(2 * result for result in function(*given))

    monkeypatch.setattr(torch, "compile", wrong)
    shape, options = masking.Shape("small", 3, 2), Namespace(device="cpu", compile=True, turns=1)
    for operation in ("saliency_mask forward", "saliency_mask forward + backward"):
        with pytest.raises(ValueError, match=f"{re.escape(operation)} by torch.compile is off by"):
            next(masking.measure(shape, 1, torch.float32, operation, options))


def test_a_side_that_computes_something_else_is_not_timed():
    model = part_training.PartClassifier(part_training.SHAPE[0], 3, 2, temperature=0.1)

    def wrong(parts, regions, temperature, backend):
        scores, argmax, entropy = part_training.part_similarity(parts, regions, temperature, "eager")
        return scores, argmax, entropy + 1

    def of_no_gradient(parts, regions, temperature, backend):
        scores, argmax, entropy = part_training.part_similarity(parts, regions, temperature, "eager")
        return scores, argmax, entropy.detach()

    part_training.check(part_training.part_similarity, model, "cpu")
    for side, message in ((wrong, "entropies are off by 1"), (of_no_gradient, "gradients are off by")):
        with pytest.raises(ValueError, match=message):
            part_training.check(side, model, "cpu")


def test_part_training_is_recorded_by_side_and_constraints(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(part_training, "SHAPE", (8, 2, 2))
    monkeypatch.setattr(part_training, "EPOCHS", 1)
    options = ("--images", "5", "--classes", "3", "--changed-only", "--out", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["part_training", *options])
    part_training.main()
    first = (tmp_path / "part_training_cpu.csv").read_bytes()
    part_training.main()
    assert (tmp_path / "part_training_cpu.csv").read_bytes() == first
    rows = pd.read_csv(tmp_path / "part_training_cpu.csv")
    own = rows[rows["images"] == 5]
    sides = ["ours", part_training.EAGER, "torch.compile"]
    assert list(own["constraints"]) == ["none"] * 3 + ["assignment"] * 3
    assert list(own["side"]) == 2 * sides and (own["parts"] == 30).all()
    assert "images_a_second" in capsys.readouterr().out
    assert {*pd.read_csv(PUBLISHED / "benchmarks" / "part_training_cpu.csv").columns} <= {*rows.columns}
