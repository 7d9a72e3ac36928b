"""What the DP-Net tables are computed from, on small frames worked out by hand."""

import pandas as pd
import pytest

from reproduce.experiments.dpnet.constraints import INTERPRETABILITY, ConstraintTable
from reproduce.experiments.dpnet.context import ContextTable
from reproduce.experiments.dpnet.layers import LayerTable
from reproduce.experiments.dpnet.main import UNCONSTRAINED, MainTable, measured_delta, published_delta
from reproduce.experiments.dpnet.quality import OF_RANDOM, QUALITY, QualityTable
from reproduce.parts.models import CONSTRAINTS, EXPERIMENT, SAME_LAYER, parts_label, run_key
from reproduce.published.numbers import published
from reproduce.studies.part_real_features import markdown, summarise
from reproduce.tables.layout import to_markdown
from reproduce.workspace.store import Row


def results(parts: list[float], baseline: list[float], network: str = "vgg16") -> pd.DataFrame:
    rows = [
        (network, method, f"seed {seed}", value)
        for method, values in ((UNCONSTRAINED, parts), ("Global", baseline))
        for seed, value in enumerate(values)
    ]
    return pd.DataFrame(rows, columns=["network", "method", "image", "value"])


def test_published_differences_are_those_the_papers_summary_gives():
    delta = published_delta(published("dpnet_main")).set_index(["dataset", "network"])["value"]
    expected = {"MIT-67": (0.7, 1.6), "Birds": (9.7, 3.4), "ImageNet": (8.0, 3.8)}
    for dataset, (vgg, resnet) in expected.items():
        assert (delta[dataset, "vgg16"], delta[dataset, "resnet50"]) == (vgg, resnet)


def test_measured_differences_pair_the_seeds():
    given = results([50.0, 60.0], [49.0, 55.0]).assign(dataset="Birds", metric="accuracy")
    given["method"] = given["method"].replace(UNCONSTRAINED, "Parts")
    delta = measured_delta(given)
    assert delta["value"].tolist() == [1.0, 5.0]
    assert set(delta["metric"]) == {"delta"}


@pytest.mark.parametrize("absent", ["", "perp+assign"], ids=["all run", "one not run"])
def test_constraints_stand_in_the_same_order_in_both_tables(make_parts_workspace, absent):
    """None first, then one alone, then several, as the paper prints them; the store sorts by name."""
    order = ["none", "perp", "assign", "cs", "perp+assign", "cs+perp", "cs+assign", "all"]
    workspace = make_parts_workspace()
    workspace.store.write(
        Row("test", EXPERIMENT, "tiny", f"Parts [{name}]", run_key("fine", 0), metric, float(place))
        for place, name in enumerate(order)
        for metric in INTERPRETABILITY
        if name != absent
    )
    tables = ConstraintTable().tables(workspace)
    lines = {
        name: [line.split(" | ") for line in to_markdown(table).splitlines() if line.startswith("| ")][2:]
        for name, table in tables.items()
    }
    assert [line[0].strip("| ") for line in lines["dpnet_constraints"]] == order
    found = {line[0].strip("| "): line[1:] for line in lines["dpnet_interpretability"]}
    assert list(found) == [name for name in order if name != absent]
    for name, numbers in found.items():
        assert f"{order.index(name):.1f}" in numbers[0] and len(numbers) == len(INTERPRETABILITY)


@pytest.mark.parametrize(
    "experiment",
    [MainTable(), ConstraintTable(), LayerTable(), QualityTable(), ContextTable()],
    ids=lambda experiment: experiment.name,
)
def test_cells_stand_beside_the_published_names_and_keep_those_that_were_measured(
    make_parts_workspace, experiment
):
    workspace = make_parts_workspace()
    workspace.store.write(
        Row("test", EXPERIMENT, "tiny", method, run_key("fine", seed), metric, 1.0)
        for method in ("Global", SAME_LAYER, *map(parts_label, CONSTRAINTS))
        for seed in range(2)
        for metric in (*INTERPRETABILITY, *QUALITY, *OF_RANDOM)
    )
    names = ["dataset", "network", "measured_dataset", "measured_network"]
    for table in experiment.tables(workspace).values():
        measured = table.cells[table.cells["n"] > 0]
        assert measured[names].drop_duplicates().values.tolist() == [["Birds", "resnet50", "fine", "tiny"]]
    for rows in experiment.results(workspace).values():
        assert rows[["dataset", "network", "own"]].drop_duplicates().values.tolist() == [
            ["Birds", "resnet50", "tiny"]
        ]


def test_the_study_s_summary_has_means_spreads_and_distances():
    runs = results([80.0, 84.0], [81.0, 83.0], "net").rename(columns={"value": "accuracy"})
    runs["seed"] = runs.pop("image").str[-1].astype(int)
    runs = runs.assign(dataset="birds", chosen="one", seconds=1.0)
    table = summarise(runs).set_index("method")
    assert table.loc[UNCONSTRAINED, "mean"] == 82 and table.loc["Global", "mean"] == 82
    assert table.loc[UNCONSTRAINED, "sd"] == pytest.approx(8**0.5)
    assert table.loc[UNCONSTRAINED, "delta"] == 0
    assert table.loc[UNCONSTRAINED, "delta_se"] == pytest.approx((4 + 1) ** 0.5)  # errors of 2 and 1
    assert table.loc[UNCONSTRAINED, "paired_se"] == pytest.approx(1)  # differences of -1 and +1
    assert table.loc["Global", ["delta", "paired_se"]].isna().all()
    pictures = pd.DataFrame({"dataset": ["birds", "scenes"], "train": [20, 30], "test": [4, 5]})
    text = markdown(table.reset_index(), pictures)
    assert "| birds | net | Global | 82.0 ± 1.4 |  |  | 1.0 | one |" in text
    assert "| +0.0 ± 2.2 | 1.0 | 1.0 | one |" in text
    assert "Training and test pictures: birds 20 and 4; scenes 30 and 5." in text
