"""`check`: a failing claim or cell is a failure, missing data is never a pass, undecided claims fail nothing."""

from types import SimpleNamespace

import pandas as pd
import pytest

from reproduce.__main__ import main
from reproduce.cli import check_everything as everything
from reproduce.cli import commands
from reproduce.experiments import Claim, Experiment
from reproduce.published.numbers import published
from reproduce.tables.layout import Table, cells

GOOD, BAD, MISSING = Claim("good", True, "1"), Claim("bad", False, "2"), Claim("missing", None, "not run")
PAPER = published("opticam_table1").query("network == 'resnet50' and metric == 'AD' and method == 'Opti-CAM'")


class Told(Experiment):
    """An experiment with given claims and one table of one cell, published as 1.5."""

    name, paper, title = "told", "Opti-CAM", "told"

    def __init__(self, claims=(), measured=None, comparable=True):
        self._claims, self._measured, self._comparable = list(claims), measured, comparable

    def claims(self, workspace):
        return self._claims

    def tables(self, workspace):
        row = ["resnet50", "Opti-CAM", "AD", self._measured, 1.0, 100, self._measured, self._measured]
        names = ["network", "method", "metric", "measured", "sd", "n", "low", "high"]
        measured = None if self._measured is None else pd.DataFrame([row], columns=names)
        return {"opticam_table1": Table(cells(PAPER, measured, comparable=self._comparable))}


@pytest.mark.parametrize(
    ("told", "status"),
    [
        (Told([GOOD], 1.5), 0),
        (Told([GOOD], 1.5 + PAPER["tolerance"].iloc[0]), 0),
        (Told([GOOD], 1.7), 1),
        (Told([GOOD], 40.0, comparable=False), 0),
        (Told([GOOD, BAD], 1.5), 1),
        (Told([GOOD, BAD.undecided("too few images")], 1.5), 0),
        (Told([GOOD, MISSING], 1.5), 3),
        (Told([GOOD, MISSING.undecided("too few images")], 1.5), 0),
        (Told([BAD, MISSING], 1.5), 1),
        (Told([], None), 3),
    ],
    ids=[
        "all good",
        "a cell at its tolerance",
        "a cell beyond its tolerance",
        "a cell of other data",
        "a failed claim",
        "a failed claim that cannot be decided",
        "an untested claim",
        "an untested claim that cannot be decided",
        "failed outweighs untested",
        "nothing at all",
    ],
)
def test_exit_status(monkeypatch, capsys, told, status):
    monkeypatch.setattr(everything, "workspace", lambda options: SimpleNamespace(profile=None))
    monkeypatch.setattr(everything, "select", lambda only, profile: [told])
    assert main(["check"]) == status
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith("claim  ")]) == len(told._claims)
    assert len([line for line in lines if line.startswith("table  ") and "opticam_table1:" in line]) == 1
    assert any("not run" in line and "opticam_tableA10" in line for line in lines)
    assert lines[-1].startswith({0: "passed", 1: "FAILED", 3: "INCOMPLETE"}[status])


def test_a_differing_cell_is_printed_with_its_tolerance_and_reason(monkeypatch, capsys):
    monkeypatch.setattr(everything, "workspace", lambda options: SimpleNamespace(profile=None))
    monkeypatch.setattr(everything, "select", lambda only, profile: [Told([GOOD], 1.7)])
    main(["check"])
    line = next(line for line in capsys.readouterr().out.splitlines() if "cell differs" in line)
    assert "published 1.5, measured 1.7" in line
    assert f"tolerance {PAPER['tolerance'].iloc[0]:g} ({PAPER['tolerance_reason'].iloc[0]})" in line


def test_claims_that_cannot_be_decided_say_why(make_workspace):
    """On the tiny workspace, whose pictures are not the paper's; the main claims are never among them."""
    told = [claim for name in commands.EXPERIMENTS for claim in _claims(name, make_workspace())]
    assert all(len(claim.reason) > 20 for claim in told)
    main_claims = [claim for claim in told if claim.reason.startswith("a main claim")]
    assert len(main_claims) >= 5 and all(claim.expected for claim in main_claims)
    assert not all(claim.expected for claim in told)


def _claims(name, workspace):
    experiment = commands.EXPERIMENTS[name]
    return experiment.claims(workspace) if experiment.applies(workspace.profile) else []
