"""The table of specialised paths on the CPU: as measured, of files that exist, none that is not worth its lines."""

from pathlib import Path

import pandas as pd
import pytest

from reproduce.studies.cpu_paths import FILE, LEAST_GAIN, ROUTES, calls, markdown

ROOT = Path(__file__).parents[3]
TABLE = pd.read_csv(ROOT / "figures" / "studies" / FILE, dtype=str)


def test_contributing_has_the_table_that_was_measured():
    assert markdown(TABLE) in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_every_path_is_measured_and_gains_enough():
    assert set(TABLE["path"]) == {route.name for route in ROUTES}
    assert TABLE["gain"].astype(float).min() >= LEAST_GAIN
    ratio = TABLE["without ms"].astype(float) / TABLE["with ms"].astype(float)
    # three digits of two times, two decimals of their ratio
    assert (ratio - TABLE["gain"].astype(float)).abs().max() <= 0.005 + 0.01 * ratio.max()


def test_no_set_of_instructions_is_without_a_row():
    named = {file for route in ROUTES for file in route.files}
    found = {path.relative_to(ROOT).as_posix() for path in ROOT.glob("csrc/*/cpu/loops_avx*.cpp")}
    assert found <= named
    assert all((ROOT / file).is_file() for file in named)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_the_work_can_be_done(route):
    call = calls(route.work[0])
    assert callable(call)
