"""`check`: what must hold everywhere decides the exit status; a claim or a differing published cell never does."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from reproduce.__main__ import main
from reproduce.claims.expectations import expectations
from reproduce.claims.measured import Results
from reproduce.cli import check_everything as everything
from reproduce.cli import compare
from reproduce.experiments import Experiment
from reproduce.published.numbers import published
from reproduce.tables.layout import Table, cells, to_csv

PAPER = published("opticam_table1").query("network == 'resnet50' and metric == 'AD' and method == 'Opti-CAM'")


class Told(Experiment):
    """An experiment with one table of one cell, published as 1.5."""

    name, paper, title = "told", "Opti-CAM", "told"

    def __init__(self, measured=None, comparable=True):
        self._measured, self._comparable = measured, comparable

    def tables(self, workspace):
        row = ["resnet50", "Opti-CAM", "AD", self._measured, 1.0, 100, self._measured, self._measured]
        names = ["network", "method", "metric", "measured", "sd", "n", "low", "high"]
        measured = None if self._measured is None else pd.DataFrame([row], columns=names)
        return {"opticam_table1": Table(cells(PAPER, measured, comparable=self._comparable))}


def stored(grad=0.0, xgrad=0.0, hires=0.0):
    """Results of Table 1 in which the three methods' drops are these on average, on a network with global pooling."""
    rows = [
        ("resnet50", "sample_resnet", method, f"picture {k}", "AD", value + (-1) ** k)
        for method, value in (("Grad-CAM", grad), ("XGrad-CAM", xgrad), ("HiRes-CAM", hires))
        for k in range(4)
    ]
    names = ["network", "own", "method", "image", "metric", "value"]
    return Results({"opticam_table1": pd.DataFrame(rows, columns=names)})


@pytest.fixture
def given(monkeypatch, tmp_path):
    """Sets what `check` reads: the experiment, stored results, and the committed tables' folder."""

    def give(told, results, committed=None, same_everywhere=True):
        folder = None
        if committed is not None:
            folder = tmp_path / "committed"
            folder.mkdir()
            (folder / "opticam_table1.csv").write_text(to_csv(Told(committed).tables(None)["opticam_table1"]))
        profile = SimpleNamespace(name="test", same_everywhere=same_everywhere)
        monkeypatch.setattr(everything, "workspace", lambda options: SimpleNamespace(profile=profile))
        monkeypatch.setattr(everything, "output_folder", lambda options, workspace: tmp_path / "out")
        monkeypatch.setattr(everything, "select", lambda only, profile: [told])
        monkeypatch.setattr(everything, "stored_results", lambda workspace: results)
        monkeypatch.setattr(compare, "committed_tables", lambda profile: folder)

    return give


@pytest.mark.parametrize(
    ("told", "results", "committed", "status"),
    [
        (Told(1.5), stored(), None, 0),
        (Told(40.0), stored(), None, 0),
        (Told(1.5), stored(3.0, 3.04, 2.96), None, 0),
        (Told(1.5), stored(3.0, 3.2, 3.0), None, 1),
        (Told(1.5), Results({}), None, 3),
        (Told(1.5), Results({}), 1.5, 0),
        (Told(1.6), Results({}), 1.5, 0),
        (Told(1.8), Results({}), 1.5, 1),
        (Told(1.8), stored(), 1.5, 1),
        (Told(None), Results({}), 1.5, 3),
    ],
    ids=[
        "identities hold",
        "a published cell differs",
        "identities hold to the printed digit",
        "an identity fails",
        "nothing to test",
        "a cell as committed",
        "a committed cell's last digit by one",
        "a committed cell differs",
        "identities do not outweigh a committed cell",
        "nothing is run",
    ],
)
def test_exit_status(given, capsys, told, results, committed, status):
    given(told, results, committed)
    assert main(["check"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("table  ") and "opticam_table1:" in line]) == 1
    assert any("not run" in line and "opticam_tableA10" in line for line in lines)
    assert lines[-1].startswith({0: "passed", 1: "FAILED", 3: "INCOMPLETE"}[status])


def test_cells_that_machines_may_differ_in_are_not_held_against_the_committed_ones(given, capsys):
    given(Told(1.8), Results({}), 1.5, same_everywhere=False)
    assert main(["check"]) == 3
    assert "last published run" not in capsys.readouterr().out


def test_a_differing_cell_is_printed_with_its_tolerance_and_reason(given, capsys):
    given(Told(1.7), stored())
    main(["check"])
    line = next(line for line in capsys.readouterr().out.splitlines() if "cell differs" in line)
    assert "published 1.5, measured 1.7" in line
    assert f"tolerance {PAPER['tolerance'].iloc[0]:g} ({PAPER['tolerance_reason'].iloc[0]})" in line


@pytest.mark.parametrize(("measured", "holds"), [(31.9, True), (31.86, True), (32.2, False)])
def test_fake_cam_s_boxes_must_round_to_the_published_digit(tmp_path, measured, holds):
    table = pd.DataFrame({"metric": ["LE"], "published": [31.9], "legacy": [measured], "images": [50_000]})
    table.to_csv(tmp_path / "fake_cam_boxes.csv", index=False)
    (found,) = expectations(Results({}), tmp_path)
    assert found.holds is holds and "50000 pictures" in found.text


def test_networks_without_global_pooling_have_no_identities(tmp_path):
    table = stored().tables["opticam_table1"].assign(own="sample_vgg", network="vgg16")
    found = expectations(Results({"opticam_table1": table}), tmp_path)
    assert [one.holds for one in found] == [None]  # the boxes alone, which are not measured there


def test_pictures_that_only_one_method_has_do_not_count(tmp_path):
    table = stored(3.0, 3.0, 3.0).tables["opticam_table1"]
    more = table[table["method"] == "Grad-CAM"].assign(
        image=lambda rows: "other " + rows["image"], value=np.pi
    )
    found = expectations(Results({"opticam_table1": pd.concat([table, more])}), tmp_path)
    assert [one.holds for one in found if one.text.startswith("AD")] == [True, True]
