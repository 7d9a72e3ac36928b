"""The spread between settings, on hand-made tables."""

import pandas as pd
import pytest

from reproduce.__main__ import _parse
from reproduce.studies import machine_spread
from reproduce.studies.machine_spread import SETTINGS, available, between_settings, between_tables, main


def tables(*values, seconds=1.0):
    """One table of AD cells of so many methods, and its time."""
    keys = {"dataset": "", "network": "resnet50"}
    cells = [
        {**keys, "method": f"method {number}", "metric": "AD", "measured": value, "n": 8}
        for number, value in enumerate(values)
    ]
    time = {**keys, "method": "method 0", "metric": "seconds_per_batch8", "measured": seconds, "n": 8}
    return {"table": pd.DataFrame([*cells, time])}


RUNS = {
    "one": tables(10.01, 20.0, 30.0),
    "two": tables(10.04, 20.1, 30.0, seconds=9),
    "three": tables(9.96, 20.0, 31.2),
}


def test_cells_are_compared_as_printed_and_times_are_left_out():
    row = between_tables(RUNS).to_dict("records")
    assert row == [
        {
            "table": "table",
            "cells": 3,
            "equal": 1,
            "within_one_digit": 1,
            "spread": 12,
            "cell": " resnet50 method 2 AD",
        }
    ]


def test_every_pair_of_settings_has_a_row_with_the_verdicts_that_differ():
    verdicts = {
        name: pd.Series({"a": "agrees", "b": last})
        for name, last in (("one", "agrees"), ("two", "agrees"), ("three", "inconclusive"))
    }
    pairs = between_settings(RUNS, verdicts).set_index(["first", "second"])
    assert list(pairs.index) == [("one", "two"), ("one", "three"), ("two", "three")]
    assert pairs["equal"].tolist() == [2, 2, 1]
    assert pairs["within_rounding"].tolist() == [1, 0, 1]
    assert pairs["outside"].tolist() == [0, 1, 1]
    assert pairs["verdicts_that_differ"].tolist() == [0, 1, 1]


def test_a_setting_needs_what_the_processor_lacks_nowhere(monkeypatch):
    monkeypatch.setattr("pathlib.Path.exists", lambda self: True)
    monkeypatch.setattr("pathlib.Path.read_text", lambda self: "flags : fpu sse avx2\n")
    assert [setting.name for setting in available(SETTINGS)] == ["baseline", "AVX2", "all"]


def test_an_interpreter_that_is_not_there_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["machine_spread", "--interpreter", "old=/no/such/python"])
    with pytest.raises(SystemExit):
        main()
    assert "/no/such/python" in capsys.readouterr().err


@pytest.mark.parametrize("chosen", [[], ["opticam-main"]])
def test_a_setting_runs_the_profile_and_has_its_claims_judged(monkeypatch, tmp_path, chosen):
    """A run of some experiments writes no claims, so they are asked for."""
    started = []
    monkeypatch.setattr(
        machine_spread.subprocess, "run", lambda words, **given: started.append((words, given))
    )
    folder = machine_spread.run(SETTINGS[0], tmp_path, 2, chosen)
    options = [_parse(words[words.index("reproduce") + 1 :]) for words, _ in started]
    assert [option.command for option in options] == (["run", "claims"] if chosen else ["run"])
    assert options[0].only == (chosen or None)
    for option, (words, given) in zip(options, started):
        assert option.output / "tables" == folder and option.limit == 2 and option.results == tmp_path
        assert given["env"]["ATEN_CPU_CAPABILITY"] == "default" and words[0] == SETTINGS[0].python
