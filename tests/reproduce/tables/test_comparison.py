"""A run's cells against those of another run, to the printed digit."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproduce.cli.compare import DIFFERENT, EQUAL, NOTHING, status, summary
from reproduce.experiments.dpnet.faithfulness import FaithfulnessTable
from reproduce.experiments.outcome import compare_outcomes, outcomes
from reproduce.published.numbers import published
from reproduce.tables.comparison import compare_tables, read_tables
from reproduce.tables.layout import Table, cells, to_csv
from reproduce.workspace.paths import PUBLISHED


def table(**values):
    """Cells of one network, by method; a value, or a value and its n."""
    rows = [
        {"dataset": "d", "network": "net", "method": method, "metric": metric}
        | dict(zip(("measured", "n"), given if isinstance(given, tuple) else (given, 48)))
        for name, given in values.items()
        for method, metric in [name.split("__") if "__" in name else (name, "AD")]
    ]
    return pd.DataFrame(rows)


def states(ours, committed):
    compared = compare_tables({"t": ours}, {"t": committed})
    return dict(zip(compared["method"], compared["state"]))


def test_each_state():
    ours = table(a=12.34, b=12.36, c=12.52, d=1.0, f=(2.0, 8), g__seconds_per_batch8=0.5)
    committed = table(a=12.31, b=12.34, c=12.31, e=1.0, f=(2.0, 48), g__seconds_per_batch8=0.9)
    assert states(ours, committed) == {
        "a": "equal",  # 12.3 and 12.3
        "b": "within rounding",  # 12.4 and 12.3
        "c": "outside",  # 12.5 and 12.3
        "d": "new",
        "e": "missing",
        "f": "other n",
        "g": "time",
    }


@given(st.floats(-1000, 1000), st.integers(0, 4))
def test_a_cell_is_as_far_as_its_printed_digits(value, steps):
    """A difference of so many units of the last digit is equal, within rounding or outside."""
    value = round(value, 1)
    expected = ["equal", "within rounding", "outside", "outside", "outside"][steps]
    assert states(table(a=value + 0.1 * steps), table(a=value)) == {"a": expected}


def test_the_status_and_the_line_follow_from_the_states():
    same = compare_tables({"t": table(a=1.0, b=2.0)}, {"t": table(a=1.0, b=2.0)})
    assert status(same) == EQUAL
    assert summary(same) == "2 of 2 cells as committed"
    near = compare_tables({"t": table(a=1.0, b=2.1)}, {"t": table(a=1.0, b=2.0)})
    assert status(near) == EQUAL
    assert summary(near) == "1 of 2 cells as committed; 1 differ by one in the last digit"
    far = compare_tables({"t": table(a=1.0, b=2.5)}, {"t": table(a=1.0, b=2.0, c=1.0)})
    assert status(far) == DIFFERENT
    assert summary(far) == "1 of 2 cells as committed; 1 differ by more; 1 of the committed ones are not run"
    none = compare_tables({"t": table(a=(1.0, 8))}, {"t": table(a=1.0)})
    assert status(none) == NOTHING
    assert summary(none).startswith("0 of 0 cells as committed; 1 were measured on another number")


def test_nothing_run_is_missing_and_not_equal():
    assert states(None, table(a=1.0)) == {"a": "missing"}


def test_committed_cells_are_missing_where_an_experiment_of_no_paper_s_table_has_measured_none(
    make_parts_workspace,
):
    compared = compare_outcomes(outcomes(make_parts_workspace(), [FaithfulnessTable()]), PUBLISHED / "tables")
    lines = (PUBLISHED / "tables" / "dpnet_faithfulness.csv").read_text().splitlines()
    assert len(compared) == len(lines) - 1 and set(compared["state"]) == {"missing"}


@pytest.mark.parametrize("name", ["opticam_table1", "opticam_tableA12"])
def test_a_written_table_is_read_back_as_it_was(tmp_path, name):
    paper = published(name)
    measured = paper[["dataset", "network", "method", "metric"]].assign(
        measured=paper["value"] + 0.123, sd=1.0, n=48, low=0.0, high=1.0
    )
    (tmp_path / f"{name}.csv").write_text(to_csv(Table(cells(paper, measured))))
    (tmp_path / "claims.csv").write_text("experiment,text\n")
    read = read_tables(tmp_path)
    assert set(read) == {name}
    compared = compare_tables({name: cells(paper, measured)}, read)
    assert set(compared["state"]) <= {"equal", "time"} and len(compared) == len(paper)
