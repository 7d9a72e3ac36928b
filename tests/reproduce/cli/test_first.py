"""`run --first`: another profile's whole run comes before, by the same processes."""

import pytest

from reproduce.__main__ import main
from reproduce.cli import commands
from reproduce.experiments.computing import Stages


@pytest.fixture
def ran(monkeypatch):
    """What `run` hands over, profile by profile, in place of running it; each ends with its place as the status."""
    found = []

    def run(options, given, title):
        found.append((options, given, title))
        return len(found) - 1

    monkeypatch.setattr(commands, "_run", run)
    return found


def test_the_first_profile_is_run_whole_and_the_other_as_asked(ran):
    line = ["--limit", "3", "--only", "opticam-main", "--count", "Score-CAM=1", "--force", "--quiet"]
    assert main(["run", "--first", "photographs", *line]) == 1  # the worst of both
    (first, photographs, title), (second, sample, none) = ran
    assert (photographs.profile.name, title) == ("photographs", "photographs")
    assert (sample.profile.name, none) == ("sample", "")
    assert (first.limit, first.only, first.count, first.results) == (None, None, [], None)
    assert (second.limit, second.only, second.count) == (3, ["opticam-main"], [("Score-CAM", 1)])
    assert first.force and first.quiet and not first.publish
    assert photographs.profile.limit is None and sample.profile.limit == 3


def test_without_it_one_profile_is_run(ran):
    assert main(["run", "--profile", "photographs"]) == 0
    assert [given.profile.name for _, given, _ in ran] == ["photographs"]


def test_an_unknown_first_profile_is_named_before_anything_is_run(ran, capsys):
    assert main(["run", "--first", "pictures"]) == 2
    assert "pictures" in capsys.readouterr().err and not ran


def test_its_stages_are_told_apart(capsys):
    told = []
    with Stages(lambda *stage: told.append(stage), {"maps": 2.0}, "photographs").stage("maps"):
        pass
    assert capsys.readouterr().out.startswith("stage photographs: maps: begins, expected up to 2 s\n")
    assert [name for name, _ in told] == ["maps"]
