from __future__ import annotations

import io
import math
import re

import numpy as np
import pandas as pd
import pytest

from reproduce.published.numbers import published, tables
from reproduce.tables.layout import METRICS, Table, cells, summarise, to_csv, to_latex, to_markdown
from reproduce.tables.metric_names import SECONDS
from reproduce.tables.statistics import bootstrap, over_seeds

NONE = "\N{EN DASH}"
HEADER = ["network", "method", "image", "metric", "value"]


def results(means, images=40, metric="AD", spread=1.0, seed=2):
    """Stored results with the given mean for each (network, method)."""
    generator = np.random.default_rng(seed)
    rows = []
    for (network, method), mean in means.items():
        noise = generator.normal(0, spread, images)
        values = mean + noise - noise.mean()
        rows += [(network, method, f"{index}.png", metric, value) for index, value in enumerate(values)]
    return pd.DataFrame(rows, columns=HEADER)


def small(metric="AD"):
    """Two rows and two columns of the paper's Table 1."""
    frame = published("opticam_table1").query("metric == @metric")
    return frame[frame["method"].isin(["Fake-CAM", "Grad-CAM", "Opti-CAM"])]


def cell(table, **keys):
    for key, value in keys.items():
        table = table[table[key] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_every_published_metric_has_an_entry_with_its_unit():
    for name in tables():
        for metric, unit in published(name)[["metric", "unit"]].drop_duplicates().itertuples(index=False):
            assert METRICS[metric].unit == unit, (name, metric)


def test_printed_digits_lose_nothing_of_the_published_values():
    for name in tables():
        if name in ("dpnet_context", "opticam_tableA9"):  # the two with values of two decimals among others
            continue
        for row in published(name).itertuples():
            assert float(f"{row.value:.{METRICS[row.metric].digits}f}") == row.value, row


@pytest.mark.parametrize(
    ("metric", "better"),
    [
        ("AD", "down"),
        ("AG", "up"),
        ("AI", "up"),
        ("insertion", "up"),
        ("deletion", "down"),
        ("MS", "down"),
        ("EP", "up"),
    ],
)
def test_the_paper_s_best_method_is_ours_in_the_same_direction(metric, better):
    """Directions against the bold entries of Tables 1, 3, 4 and A.7 (ResNet-50, Fake-CAM aside)."""
    bold = {
        "AD": ("opticam_table1", "Opti-CAM"),
        "AG": ("opticam_table1", "Opti-CAM"),
        "AI": ("opticam_table1", "Opti-CAM"),
        "insertion": ("opticam_table3", "Extremal Perturbation"),
        "deletion": ("opticam_table3", "GradientSHAP"),
        "MS": ("opticam_table4", "Opti-CAM"),
        "EP": ("opticam_tableA7", "Extremal Perturbation"),
    }
    assert METRICS[metric].better == better
    name, method = bold[metric]
    text = to_markdown(Table(cells(published(name)), "t"))
    heads, *_ = [line for line in text.splitlines() if line.startswith("| method")]
    column = heads.split(" | ").index(f"resnet50 {METRICS[metric].header} {'↑' if better == 'up' else '↓'}")
    line = next(line for line in text.splitlines() if line.startswith(f"| {method} "))
    assert line.split(" | ")[column].startswith("**")


def test_summaries_are_the_statistics_of_each_group():
    stored = results({("resnet50", "Opti-CAM"): 1.5, ("vgg16", "LIME"): 60.0})
    frame = summarise(stored)
    values = stored.query("method == 'LIME'").sort_values("image")["value"]
    expected = bootstrap(values.to_numpy())[0]
    lime = cell(frame, method="LIME")
    assert (lime["measured"], lime["sd"], lime["n"], lime["low"], lime["high"]) == tuple(expected)
    by_seed = cell(summarise(stored, seeds=True), method="LIME")
    assert (by_seed["low"], by_seed["high"]) == tuple(over_seeds(values.to_numpy()))[-2:]


def test_images_without_a_value_do_not_count():
    stored = results({("resnet50", "Opti-CAM"): 1.5})
    stored.loc[:9, "value"] = math.nan
    assert cell(summarise(stored))["n"] == 30


def test_verdicts_of_the_cells():
    measured = summarise(
        results({("resnet50", "Opti-CAM"): 1.5, ("resnet50", "Grad-CAM"): 20.0, ("resnet50", "New-CAM"): 3.0})
    )
    table = cells(small(), measured)
    assert cell(table, network="resnet50", method="Opti-CAM")["verdict"] == "reproduced"
    assert cell(table, network="resnet50", method="Grad-CAM")["verdict"] == "differs"
    fake = cell(table, network="resnet50", method="Fake-CAM")
    assert (fake["verdict"], fake["n"]) == ("not run", 0)
    assert math.isnan(fake["measured"])
    new = cell(table, method="New-CAM")
    assert (new["verdict"], new["reason"]) == ("not comparable", "the paper has no such cell")
    assert table[table["network"] == "vgg16"]["verdict"].eq("not run").all()


def test_an_uncomparable_table_never_reproduces_and_says_why():
    measured = summarise(results({("resnet50", "Opti-CAM"): 1.5}))
    table = cells(small(), measured, comparable=False, why="sample data")
    opti = cell(table, network="resnet50", method="Opti-CAM")
    assert (opti["verdict"], opti["reason"]) == ("not comparable", "sample data")
    assert set(table["verdict"]) == {"not comparable", "not run"}
    partly = cells(small(), measured, comparable=lambda each: each["network"] == "resnet50")
    assert cell(partly, network="resnet50", method="Opti-CAM")["verdict"] == "reproduced"


def test_a_published_value_without_tolerance_gives_its_reason():
    measured = summarise(results({("resnet50", "Opti-CAM"): 4.15}, metric="seconds_per_batch8", spread=0.01))
    table = cells(small("seconds_per_batch8"), measured)
    opti = cell(table, network="resnet50", method="Opti-CAM")
    assert (opti["verdict"], opti["reason"]) == ("not comparable", "the authors' hardware is not stated")


@pytest.mark.parametrize("batches", [1, 6])
def test_of_seconds_one_value_a_batch_counts_and_all_images_of_the_scores_beside_them(batches):
    """Eight images a batch, which share its time; one batch alone has no interval."""
    times = results({("resnet50", "Opti-CAM"): 4.15}, images=batches)["value"].to_numpy()
    scores = results({("resnet50", "Opti-CAM"): 1.5}, images=8 * batches)
    scores["image"] = [
        f"{index:02d}.png" for index in range(len(scores))
    ]  # their order is that of their names
    measured = summarise(pd.concat([scores, scores.assign(metric=SECONDS, value=np.repeat(times, 8))]))
    found = cell(measured, metric=SECONDS)
    assert (found["n"], found["measured"]) == (batches, pytest.approx(times.mean()))
    np.testing.assert_array_equal(found[["low", "high"]].astype(float), bootstrap(times)[0][3:])
    assert math.isnan(found["low"]) == (batches == 1)
    beside = cell(measured, metric="AD")
    assert tuple(beside[["measured", "sd", "n", "low", "high"]]) == bootstrap(scores["value"])[0]
    assert f"n = {8 * batches}." in to_markdown(Table(cells(small(), measured)))


def test_without_results_everything_is_not_run_and_nothing_is_marked():
    for measured in (None, pd.DataFrame(columns=HEADER), summarise(pd.DataFrame(columns=HEADER))):
        table = cells(small(), measured)
        assert table["verdict"].eq("not run").all()
        text = to_markdown(Table(table))
        assert "nothing measured yet" in text
        assert not re.search(r"\d [✓✗]", text)


def test_a_table_the_papers_do_not_have_can_be_laid_out():
    measured = summarise(results({("squeezenet1_1", "Opti-CAM"): 1.4}))
    table = cells(published("opticam_table1").iloc[:0], measured)
    assert len(table) == 1
    assert f"| Opti-CAM | {NONE} / 1.4 |" in to_markdown(Table(table))


def test_rows_and_columns_are_chosen_and_ordered():
    table = cells(published("opticam_table1"), rows=["Opti-CAM", "Fake-CAM"], columns=["vgg16", "resnet50"])
    assert list(dict.fromkeys(table["method"])) == ["Opti-CAM", "Fake-CAM"]
    heads = to_markdown(Table(table)).splitlines()[0]
    assert heads.index("vgg16") < heads.index("resnet50")
    with pytest.raises(ValueError, match=r"rows: Opticam given; the table has Fake-CAM, Grad-CAM"):
        cells(small(), rows=["Opticam"])
    with pytest.raises(ValueError, match=r"columns: alexnet given; the table has resnet50, vgg16"):
        cells(small(), columns=["alexnet"])


def test_paper_order_is_kept_and_further_methods_follow():
    measured = summarise(results({("resnet50", "A-CAM"): 3.0, ("resnet50", "Opti-CAM"): 3.0}))
    table = cells(published("opticam_table1"), measured)
    printed = list(dict.fromkeys(published("opticam_table1")["method"]))
    assert list(dict.fromkeys(table["method"])) == [*printed, "A-CAM"]


def test_a_stand_in_network_is_named():
    measured = summarise(results({("sample_resnet", "Opti-CAM"): 2.0}))
    table = cells(small(), measured, beside={"sample_resnet": "resnet50"}, comparable=False)
    opti = cell(table, network="resnet50", method="Opti-CAM")
    assert (opti["published"], round(opti["measured"], 9), opti["measured_network"]) == (
        1.5,
        2.0,
        "sample_resnet",
    )
    assert "Measured: sample_resnet beside resnet50." in to_markdown(Table(table))
    doubled = summarise(results({("sample_resnet", "Opti-CAM"): 2.0, ("resnet50", "Opti-CAM"): 2.0}))
    with pytest.raises(ValueError, match="two results for the cell ImageNet val / resnet50 / Opti-CAM / AD"):
        cells(small(), doubled, beside={"sample_resnet": "resnet50"})


def test_several_data_sets_need_a_dataset_column():
    paper = published("dpnet_main")
    stored = results({("resnet50", "Global"): 70.0}, images=5, metric="accuracy")
    with pytest.raises(ValueError, match="measured has no column dataset; the published table has MIT-67"):
        cells(paper, summarise(stored, seeds=True))
    stored["dataset"] = "scenes"
    table = cells(paper, summarise(stored, seeds=True), beside={"scenes": "MIT-67"}, comparable=False)
    ours = cell(table, dataset="MIT-67", network="resnet50", method="Global")
    assert (round(ours["measured"], 9), ours["measured_dataset"], ours["n"]) == (70.0, "scenes", 5)
    text = to_markdown(Table(table, groups=("dataset", "network"), show="sd"))
    assert re.search(r"78\.1 / 70\.0 ± \d\.\d", text)


def test_an_unknown_metric_is_refused():
    stored = results({("resnet50", "Opti-CAM"): 2.0}, metric="sparkle")
    with pytest.raises(ValueError, match="metric: sparkle given; accepted are AD, AG"):
        cells(small(), summarise(stored))


def test_csv_holds_every_cell_to_ten_digits():
    table = cells(small(), summarise(results({("resnet50", "Opti-CAM"): 1.5})))
    text = to_csv(Table(table))
    back = pd.read_csv(io.StringIO(text), keep_default_na=False, na_values={"measured": [""]})
    assert list(back.columns) == list(table.columns)
    np.testing.assert_allclose(back["measured"], table["measured"], rtol=1e-9)
    assert back["verdict"].tolist() == table["verdict"].tolist()
    assert "\r" not in text


def test_markdown_is_a_rectangle_with_arrows():
    for name in tables():
        groups = (
            ("dataset", "network")
            if name.startswith(("dpnet", "opticam_tableA1", "opticam_text"))
            else ("network",)
        )
        lines = to_markdown(Table(cells(published(name)), name, groups=groups)).splitlines()
        body = [re.split(r"(?<!\\)\|", line) for line in lines if line.startswith("|")]
        assert len({len(line) for line in body}) == 1
        assert all("↑" in head or "↓" in head for head in body[0][2:-1])
        assert len(body) == 2 + published(name)["method"].nunique()


def test_best_is_marked_on_each_side_with_ties_and_fake_cam_aside():
    measured = summarise(
        results(
            {("resnet50", "Fake-CAM"): 0.4, ("resnet50", "Grad-CAM"): 3.02, ("resnet50", "Opti-CAM"): 3.04},
            spread=1e-6,
        )
    )
    lines = to_markdown(Table(cells(small(), measured, columns=["resnet50"], comparable=False))).splitlines()
    assert "| Fake-CAM | 0.8 / 0.4 |" in lines
    assert "| Grad-CAM | 12.2 / **3.0** |" in lines
    assert "| Opti-CAM | **1.5** / **3.0** |" in lines


def test_a_mean_over_fewer_images_than_others_is_not_marked_best():
    few = results({("resnet50", "Grad-CAM"): 1.0}, images=4, spread=1e-6)
    many = results({("resnet50", "Fake-CAM"): 0.4, ("resnet50", "Opti-CAM"): 3.0}, spread=1e-6)
    more = results({("resnet50", "Score-CAM"): 5.0}, spread=1e-6)
    measured = summarise(pd.concat([few, many, more]))
    lines = to_markdown(Table(cells(small(), measured, columns=["resnet50"], comparable=False))).splitlines()
    assert "| Grad-CAM | 12.2 / 1.0 |" in lines
    assert "| Opti-CAM | **1.5** / **3.0** |" in lines


def test_variants_head_columns():
    table = Table(cells(published("opticam_table5")), rows="base", groups=("variant",))
    lines = to_markdown(table).splitlines()
    assert lines[0].startswith("| method | S AD ↓ | S AG ↑ | S AI ↑ | B∩S AD ↓ |")
    assert "S\\\\B AI ↑" in lines[0]
    assert f"| Bounding box | 67.2 / {NONE} | 2.3 / {NONE} | 9.2 / {NONE} |{'  |' * 6}" in lines


def test_a_layout_that_hides_cells_is_refused():
    with pytest.raises(ValueError, match="put several cells in one place"):
        to_markdown(Table(cells(published("opticam_table6")), rows="base"))


def test_intervals_can_be_shown():
    table = cells(small(), summarise(results({("resnet50", "Opti-CAM"): 1.5})), columns=["resnet50"])
    text = to_markdown(Table(table, show="interval"))
    opti = cell(table, method="Opti-CAM")
    assert f"**1.5** / 1.5 \\[{opti['low']:.1f}, {opti['high']:.1f}\\] ✓" in text
    assert "n = 40" in text


@pytest.mark.parametrize("name", tables())
def test_latex_lines_have_as_many_cells_as_the_tabular(name):
    groups = (
        ("dataset", "network")
        if name.startswith(("dpnet", "opticam_tableA1", "opticam_text"))
        else ("network",)
    )
    text = to_latex(Table(cells(published(name)), name, groups=groups))
    width = len(re.search(r"\\begin\{tabular\}\{(\w+)\}", text).group(1))
    for line in (line for line in text.splitlines() if line.endswith(r"\\")):
        spans = [int(span) for span in re.findall(r"\\multicolumn\{(\d+)\}", line)]
        assert len(re.findall(r"(?<!\\)&", line)) + 1 - len(spans) + sum(spans) == width
    assert text.count("{") == text.count("}")
    assert not re.search(r"(?<!\\)[%#_]", text)
    assert text.isascii()


def test_latex_marks_verdicts():
    measured = summarise(results({("resnet50", "Opti-CAM"): 1.5, ("resnet50", "Grad-CAM"): 20.0}))
    text = to_latex(Table(cells(small(), measured, columns=["resnet50"]), "50% of it"))
    assert r"Opti-CAM & \textbf{1.5} / \textbf{1.5}$^{=}$ \\" in text
    assert r"Grad-CAM & 12.2 / 20.0$^{\neq}$ \\" in text
    assert r"\caption{50\% of it. Published / measured, n = 40." in text
