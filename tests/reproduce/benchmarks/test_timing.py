"""Timing: every call takes turns."""

import time

import pytest

from reproduce.benchmarks import timing
from reproduce.benchmarks.timing import copy_gigabytes_per_second, take_turns


def test_every_call_is_timed_in_every_turn():
    order = []

    def call(name, seconds):
        order.append(name)
        time.sleep(seconds)

    times = take_turns(
        {"slow": lambda: call("slow", 0.01), "quick": lambda: call("quick", 0.002)}, "cpu", 2, 0.005
    )
    assert len(times["slow"]) == 2 and len(times["quick"]) >= 2
    assert min(times["slow"]) >= 10 and min(times["quick"]) >= 2
    assert [a for a, b in zip(order, [*order[1:], ""]) if a != b] == ["slow", "quick"] * 2


def test_a_copy_s_bandwidth_is_what_it_moves_in_its_least_time(monkeypatch):
    def milliseconds(calls, *_, **__):
        calls["copy"]()
        return {"copy": [2.0, 0.5, 1.0]}

    monkeypatch.setattr(timing, "take_turns", milliseconds)
    assert copy_gigabytes_per_second(2**20, "cpu") == pytest.approx(2**20 / 0.5e-3 / 1e9)
