"""Every Opti-CAM experiment on seven random pictures: complete tables, figures and claims from the store."""

import dataclasses
import math
import re

import numpy as np
import pytest
from evaluating import evaluate

from opticam.data.imagenet_transforms import TRANSFORMS
from reproduce.claims.judging import frame, judge
from reproduce.claims.measured import stored_results
from reproduce.experiments import EXPERIMENTS
from reproduce.experiments.opticam import saliency_experiment
from reproduce.published.numbers import published, split_label
from reproduce.saliency.metric_groups import ALPHAS, GROUPS
from reproduce.saliency.stored import EXPERIMENT
from reproduce.tables.layout import to_latex, to_markdown
from reproduce.workspace.store import Row
from reproduce.workspace.workspace import RealInput

NAMES = [name for name in EXPERIMENTS if name.startswith("opticam")]
TABLES = {
    "opticam-main": {"opticam_table1"},
    "opticam-causal": {"opticam_table3"},
    "opticam-robustness": {"opticam_table4"},
    "opticam-boxes": {"opticam_table5", "opticam_table5_corrected"},
    "opticam-normalization": {"opticam_table6"},
    "opticam-localization": {"opticam_tableA7", "opticam_tableA7_formulas"},
    "opticam-classes": {"opticam_tableA9"},
    "opticam-objectives": {"opticam_tableA12"},
    "opticam-layers": {"opticam_tableA13"},
    "opticam-raw-pixels": {"opticam_tableA14"},
}
FIGURES = {
    "opticam-main": {"opticam_drop_and_gain"},
    "opticam-maps": {"opticam_maps_tiny"},
    "opticam-causal": {"opticam_curves_tiny"},
    "opticam-selectivity": {"opticam_selectivity_tiny"},
    "opticam-iterations": {"opticam_iterations_tiny"},
    "opticam-sanity": {"opticam_sanity_tiny"},
}


@pytest.fixture(scope="module")
def workspace(make_module_workspace, tmp_path_factory):
    """All experiments computed together, once."""
    given = make_module_workspace(tmp_path_factory.mktemp("experiments"), count=4, size=(49, 51))
    chosen = [EXPERIMENTS[name] for name in NAMES]
    evaluate(given, [wanted for experiment in chosen for wanted in experiment.requests(given)])
    for experiment in chosen:
        experiment.run(given)
    return given


@pytest.mark.parametrize("name", NAMES)
def test_an_experiment_gives_its_tables_and_figures(workspace, name):
    experiment = EXPERIMENTS[name]
    assert set(experiment.tables(workspace)) == TABLES.get(name, set())
    assert set(experiment.figures(workspace)) == FIGURES.get(name, set())


def test_drop_and_gain_are_drawn_at_the_table_s_numbers(workspace):
    experiment = EXPERIMENTS["opticam-main"]
    cells = experiment.tables(workspace)["opticam_table1"].cells.set_index(["method", "metric"])
    (axis,) = experiment.figures(workspace)["opticam_drop_and_gain"].axes
    drawn = {line.get_label(): line.get_xydata()[0].tolist() for line in axis.get_lines()}
    for method in ("Grad-CAM", "Opti-CAM"):
        expected = [cells.loc[(method, metric), "measured"] for metric in ("AD", "AG")]
        assert drawn[method] == pytest.approx(expected)
    hollow = [
        line.get_xydata()[0].tolist() for line in axis.get_lines() if line.get_markerfacecolor() == "none"
    ]
    assert [1.5, 68.8] in hollow  # Opti-CAM on ResNet-50, Table 1
    assert axis.get_title().endswith("\n4 images")


@pytest.mark.parametrize(
    ("name", "figure", "panel", "points", "start"),
    [
        ("opticam-causal", "curves", "deletion", {100 * k / 16: f"deletion {k}" for k in range(17)}, []),
        ("opticam-selectivity", "selectivity", "AI", {alpha: f"AI {alpha:g}" for alpha in ALPHAS}, []),
        ("opticam-sanity", "sanity", "SSIM", {step: f"ssim {step}" for step in range(1, 6)}, [[0, 1]]),
    ],
)
def test_curves_are_drawn_at_the_means_of_their_rows(workspace, name, figure, panel, points, start):
    experiment = EXPERIMENTS[name]
    rows = experiment.rows(workspace, list(points.values()))
    drawn = experiment.figures(workspace)[f"opticam_{figure}_tiny"]
    (axis,) = [axis for axis in drawn.axes if axis.get_title() == panel]
    for line in axis.get_lines():
        own = rows[rows["method"] == line.get_label()].set_index("metric")["value"]
        expected = [*start, *([x, own[metric].mean()] for x, metric in points.items())]
        np.testing.assert_allclose(line.get_xydata(), expected, rtol=1e-12)
    assert {line.get_label() for line in axis.get_lines()} == set(rows["method"])


def test_an_exponent_is_a_method_beside_the_published_figure(workspace):
    experiment = EXPERIMENTS["opticam-selectivity"]
    found = experiment.results(workspace)["opticam_figureA4"].set_index(["method", "metric", "image"])[
        "value"
    ]
    rows = experiment.rows(workspace, ["AG 0.1"])
    for method, image, value in zip(rows["method"], rows["image"], rows["value"]):
        assert found[f"{method} [exponent 0.1]", "AG", image] == value
    assert len(found) == len(experiment.rows(workspace, GROUPS["selectivity"].names))


def test_of_a_method_without_a_measured_point_the_published_one_is_not_drawn(workspace, monkeypatch):
    experiment = EXPERIMENTS["opticam-main"]
    rows = experiment.rows(workspace, ["AD", "AG"])
    few = rows["image"].isin(["picture0", "picture2"])
    chosen = rows[(rows["method"] == "Grad-CAM") | (rows["method"] == "Opti-CAM") & few]
    monkeypatch.setattr(experiment, "rows", lambda *_: chosen)
    figure = experiment.figures(workspace)["opticam_drop_and_gain"]
    (axis,), (legend,) = figure.axes, figure.legends
    hollow = [line for line in axis.get_lines() if line.get_markerfacecolor() == "none"]
    assert {text.get_text() for text in legend.get_texts()} == {"Grad-CAM", "Opti-CAM"}
    assert len(hollow) == 2
    assert axis.get_title().endswith("\n2 to 4 images per method")


@pytest.mark.parametrize(
    ("name", "table"), [(name, table) for name in TABLES for table in sorted(TABLES[name])]
)
def test_a_table_stands_beside_the_published_one(workspace, name, table):
    made = EXPERIMENTS[name].tables(workspace)[table]
    cells = made.cells
    paper = published(table.removesuffix("_formulas").removesuffix("_corrected"))
    shown = paper[paper["network"].isin(cells["network"])]
    assert cells["published"].count() == len(shown)
    measured = cells[cells["n"] > 0]
    assert len(measured) >= 8
    assert set(measured["verdict"]) == {"not comparable"}
    assert set(measured["measured_network"].map(lambda label: split_label(label)[0])) == {"tiny"}
    assert measured["measured"].map(math.isfinite).all() or name == "opticam-robustness"
    assert to_markdown(made).count("\n") > 6 and "\\toprule" in to_latex(made)


@pytest.fixture(scope="module")
def claims(workspace):
    return frame(judge(stored_results(workspace)))


def test_an_ordering_s_measured_difference_is_that_of_the_table_s_cells(workspace, claims):
    """Where both rows have the same images; box accuracy apart, whose best threshold is no mean."""
    tables = {
        table: made.cells for name in TABLES for table, made in EXPERIMENTS[name].tables(workspace).items()
    }
    compared = 0
    for claim in claims[(claims["kind"] == "ordering") & (claims["n"] > 0)].to_dict("records"):
        cells = tables[claim["place"]].query("measured_network == @claim['measured_network']")
        metric = claim["claim"].split(" ")[0]
        left, right = re.search(r": (.+?) [<>=] (.+)$", claim["claim"]).groups()
        values = cells[cells["metric"] == metric].set_index("method")[["measured", "n"]]
        if metric == "BA" or metric not in set(cells["metric"]) or not {left, right} <= set(values.index):
            continue
        if claim["n"] == values["n"][left] == values["n"][right]:
            expected = values["measured"][left] - values["measured"][right]
            assert claim["measured"] == pytest.approx(expected, abs=1e-6), claim["id"]
            compared += 1
    assert compared >= 50


def test_every_experiment_with_a_published_ordering_is_judged(claims):
    """All but the layers, of which the tiny network has others."""
    ran = claims[claims["n"] > 0]
    assert set(ran["measured_network"].map(lambda label: split_label(label)[0])) == {"tiny"}
    judged = {place for place in ran["place"] if place.startswith("opticam_")}
    published_ones = {
        "opticam_table1",
        "opticam_table3",
        "opticam_table4",
        "opticam_table5",
        "opticam_table6",
    }
    assert judged >= published_ones | {f"opticam_tableA{n}" for n in (7, 9, 12, 14)}
    assert set(ran["verdict"]) <= {"agrees", "contradicts", "inconclusive"}


def test_without_results_every_claim_is_not_run(make_workspace):
    claims = frame(judge(stored_results(make_workspace())))
    assert set(claims["verdict"]) == {"not run", "shown, not judged"}


@pytest.mark.parametrize("name", sorted(TABLES))
def test_without_results_no_table_claims_a_measurement(make_workspace, name):
    for made in EXPERIMENTS[name].tables(make_workspace()).values():
        assert set(made.cells["verdict"]) == {"not run"}


def test_a_published_method_is_measured_under_its_published_label(workspace):
    for name, tables in TABLES.items():
        for table in tables:
            cells = EXPERIMENTS[name].tables(workspace)[table].cells
            run = set(cells.loc[cells["n"] > 0, "method"])
            missing = set(cells.loc[cells["published"].notna(), "method"]) - run
            if name == "opticam-layers":
                continue  # the tiny network has other layers
            assert missing <= {label for label in missing if "misclassified" in label}, table


def test_misclassified_images_are_a_part_of_the_most_probable_rows(workspace):
    rows = EXPERIMENTS["opticam-classes"].measured(workspace)
    drops = rows[(rows["metric"] == "AD") & (rows["network"] == "tiny")]
    counts = drops.groupby("method")["image"].nunique()
    wrong = counts.get("Grad-CAM [most probable, misclassified]", 0)
    accuracy = workspace.store.frame("test", "saliency", metric="accuracy", network="tiny")
    assert wrong == (accuracy["value"] == 0).sum() > 0
    assert counts["Grad-CAM [most probable]"] == counts["Grad-CAM [ground truth]"] == 4


def test_boxes_are_not_asked_for_where_images_have_none(make_workspace):
    workspace = make_workspace()
    workspace.pictures.has_boxes = False
    for name in ("opticam-boxes", "opticam-localization"):
        assert EXPERIMENTS[name].requests(workspace) == []


def of_seven(table):
    """A published table as if its numbers were of seven pictures."""
    return published(table).assign(n_images=7)


def comparable(workspace):
    """The workspace of a profile that has the paper's networks."""
    saliency = dataclasses.replace(workspace.profile.saliency, comparable=True)
    workspace.profile = dataclasses.replace(workspace.profile, saliency=saliency)
    return workspace


def test_a_comparable_network_is_judged_against_its_own_published_numbers_only(make_workspace, monkeypatch):
    monkeypatch.setattr(saliency_experiment, "published", of_seven)
    workspace = comparable(make_workspace(networks=("tiny",)))
    for name in ("opticam-raw-pixels", "opticam-boxes"):  # the second is published for vgg16 alone
        experiment = EXPERIMENTS[name]
        evaluate(
            workspace, [r for r in experiment.requests(workspace) if r.method in ("Grad-CAM", "Fake-CAM")]
        )
        for made in experiment.tables(workspace).values():
            judged = made.cells[(made.cells["n"] > 0) & made.cells["tolerance"].notna()]  # times have none
            compared = set(judged["verdict"]) <= {"reproduced", "differs"}
            assert compared == (name == "opticam-raw-pixels")


@pytest.mark.parametrize(
    ("count", "transform", "why"),
    [
        (7, TRANSFORMS[0], ""),
        (6, TRANSFORMS[0], "6 of 7 pictures"),
        (7, TRANSFORMS[1], "made ready by squash224"),
    ],
)
def test_only_as_many_pictures_as_the_paper_s_made_ready_alike_are_judged(
    make_workspace, monkeypatch, count, transform, why
):
    """Rows of the published mean: a cell of the paper's pictures is reproduced, one of others not comparable."""
    monkeypatch.setattr(saliency_experiment, "published", of_seven)
    workspace = comparable(make_workspace(count))
    workspace.real = RealInput(transform=transform)
    rows = [
        Row("test", EXPERIMENT, "tiny", "Grad-CAM", name, cell.metric, cell.value)
        for cell in published("opticam_table1").query("method == 'Grad-CAM' and unit == '%'").itertuples()
        if cell.network == "resnet50"
        for name in workspace.source.names
    ]
    workspace.store.write(rows)
    (made,) = EXPERIMENTS["opticam-main"].tables(workspace).values()
    found = made.cells[made.cells["n"] > 0]
    assert len(found) == 3 and (found["n"] == count).all()
    assert set(found["verdict"]) == {"not comparable" if why else "reproduced"}
    assert all(why in reason for reason in found["reason"])


def test_a_count_bounds_an_experiment_and_a_limit_shrinks_it_alike(make_workspace):
    workspace = make_workspace()
    saliency = dataclasses.replace(
        workspace.profile.saliency, images=6, counts={"opticam-causal": 4, "LIME": 2}
    )
    profile = dataclasses.replace(workspace.profile, saliency=saliency)
    assert profile.image_count("opticam-main", "Grad-CAM") == 6
    assert profile.image_count("opticam-causal", "LIME") == 2
    small = dataclasses.replace(profile, limit=3)
    assert small.image_count("opticam-causal", "Grad-CAM") == 2
    assert small.image_count("opticam-causal", "LIME") == 1


def test_a_count_of_zero_leaves_a_method_out_of_one_experiment(make_workspace):
    workspace = make_workspace()
    counts = {"opticam-causal/LIME": 0, "opticam-causal/Score-CAM": 2}
    saliency = dataclasses.replace(workspace.profile.saliency, counts=counts)
    workspace.profile = dataclasses.replace(workspace.profile, saliency=saliency)
    main, causal = EXPERIMENTS["opticam-main"], EXPERIMENTS["opticam-causal"]
    assert [main.count(workspace, method) for method in ("LIME", "Score-CAM", "Grad-CAM")] == [7, 7, 7]
    assert [causal.count(workspace, method) for method in ("LIME", "Score-CAM", "Grad-CAM")] == [0, 2, 7]
    evaluate(workspace, [r for r in causal.requests(workspace) if r.method in ("LIME", "Score-CAM")])
    rows = causal.rows(workspace, ["insertion"])
    assert rows.groupby("method").size().to_dict() == {"Score-CAM": 2}
