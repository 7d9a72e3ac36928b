"""`run --first`: another profile's whole run comes before, by the same processes."""

import pytest

from reproduce.__main__ import main
from reproduce.cli import running
from reproduce.experiments.computing import Stages


@pytest.fixture
def ran(monkeypatch):
    """What is run, turn by turn, in place of running it; each ends with its place as the status."""
    found = []
    monkeypatch.setattr(running, "run_all", found.extend)
    monkeypatch.setattr(running.Turn, "finish", lambda turn: found.index(turn))
    return found


def test_the_first_profile_is_run_whole_and_the_other_as_asked(ran):
    line = ["--limit", "3", "--only", "opticam-main", "--count", "Score-CAM=1", "--force", "--quiet"]
    assert main(["run", "--first", "photographs", *line]) == 1  # the worst of both
    photographs, sample = ran
    first, second = photographs.options, sample.options
    assert (photographs.given.profile.name, photographs.title) == ("photographs", "photographs")
    assert (sample.given.profile.name, sample.title) == ("sample", "")
    assert (first.limit, first.only, first.count, first.results) == (None, None, [], None)
    assert (second.limit, second.only, second.count) == (3, ["opticam-main"], [("Score-CAM", 1)])
    assert first.force and first.quiet and not first.publish
    assert photographs.given.profile.limit is None and sample.given.profile.limit == 3
    assert [experiment.name for experiment in sample.chosen] == ["opticam-main"]


def test_without_it_one_profile_is_run(ran):
    assert main(["run", "--profile", "photographs"]) == 0
    assert [turn.given.profile.name for turn in ran] == ["photographs"]


def test_an_unknown_first_profile_is_named_before_anything_is_run(ran, capsys):
    assert main(["run", "--first", "pictures"]) == 2
    assert "pictures" in capsys.readouterr().err and not ran


def test_its_stages_are_told_apart(capsys):
    told = []
    with Stages(lambda *stage: told.append(stage), {"maps": 2.0}, "photographs").stage("maps"):
        pass
    assert capsys.readouterr().out.startswith("stage photographs: maps: begins, expected up to 2 s\n")
    assert [name for name, _ in told] == ["maps"]
