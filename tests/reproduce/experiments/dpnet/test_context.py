"""The context table: every published number as it stands, and DP-Net's own mean over seeds beside its rows."""

import pandas as pd
import pytest

from reproduce.experiments.dpnet.context import ContextTable
from reproduce.parts.models import EXPERIMENT, run_key
from reproduce.published.numbers import FOLDER
from reproduce.workspace.store import Row

OWN = ["DP-Net [Global]", "DP-Net [Parts]"]


def cells(workspace) -> pd.DataFrame:
    return ContextTable().tables(workspace)["dpnet_context"].cells.set_index(["network", "method"])


@pytest.fixture
def workspace(make_parts_workspace):
    """Two seeds of both methods on the birds, and numbers of rooms that must not enter the table."""
    workspace = make_parts_workspace(datasets={"scenes": "MIT-67", "fine": "Birds"})
    accuracies = {"Global": (60.0, 64.0), "Parts [none]": (71.0, 72.0), "Parts [perp]": (1.0, 2.0)}
    for dataset, offset in (("fine", 0.0), ("scenes", 20.0)):
        workspace.store.write(
            Row("test", EXPERIMENT, "tiny", method, run_key(dataset, seed), "accuracy", value + offset)
            for method, values in accuracies.items()
            for seed, value in enumerate(values)
        )
    return workspace


def test_every_published_number_stands_in_the_table(workspace):
    table = cells(workspace)
    context, main = (pd.read_csv(FOLDER / f"dpnet_{name}.csv") for name in ("context", "main"))
    birds = main[main["dataset"] == "Birds"].assign(method=lambda rows: "DP-Net [" + rows["method"] + "]")
    paper = pd.concat([context, birds])
    assert len(table) == len(paper) == 7 + 4
    for row in paper.to_dict("records"):
        cell = table.loc[(row["network"], row["method"])]
        assert cell["published"] == row["value"] and cell["source"] == row["source"]


def test_own_rows_have_the_mean_over_the_seeds_on_birds_and_no_other_row_is_measured(workspace):
    table = cells(workspace)
    own = table[table["n"] > 0]
    assert list(own.index) == [("resnet50", name) for name in OWN]
    assert own["measured"].tolist() == [62, 71.5] and set(own["n"]) == {2}
    assert set(own["verdict"]) == {"not comparable"}
    assert set(table.drop(own.index)["verdict"]) == {"not run"}


def test_every_row_names_a_source_that_can_be_looked_up(workspace):
    sources = cells(workspace)["source"]
    assert sources.str.match(
        r"GitHub \w[\w-]*/[\w-]+, (issue \d+|\S+ README)|wizwand\.com/paper/\w+, .*arXiv:\d|ICIP 2023 talk slides"
    ).all()


def test_without_results_the_published_rows_remain(make_parts_workspace):
    table = cells(make_parts_workspace())
    assert set(table["verdict"]) == {"not run"} and table["published"].notna().all()
