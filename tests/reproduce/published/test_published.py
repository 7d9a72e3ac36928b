"""The transcription against facts from elsewhere: shapes of the tables, identities, definitions."""

from __future__ import annotations

import math
import re

import pandas as pd
import pytest

from reproduce.published.numbers import COLUMNS, FOLDER, KEY, labelled, published, split_label, tables

# rows of the printed table x its value columns, less the dashes
SIZES = {
    "opticam_table1": 12 * 8,
    "opticam_table2": 14 * 8,
    "opticam_table3": 14 * 8 - 4 * 4,
    "opticam_table4": 8 * 6,
    "opticam_table5": 11 * 9 - 2 * 6,
    "opticam_table6": 14 * 3,
    "opticam_tableA7": 2 * 9 * 7,
    "opticam_tableA8": 2 * 11 * 7,
    "opticam_tableA9": 4 * 15,
    "opticam_tableA10": 2 * 9 * 6,
    "opticam_tableA11": 6 * 8,
    "opticam_tableA12": 12 * 3,
    "opticam_tableA13": 11 * 3,
    "opticam_tableA14": 9 * 8,
    "opticam_text": 6,
    "dpnet_main": 2 * 6,
    "dpnet_constraints": 8 * 2,
    "dpnet_context": 7,
}
NETWORKS = {"resnet50", "vgg16", "vit_b_16", "deit_b_16"}
CAMS = {"Grad-CAM", "Grad-CAM++", "Score-CAM", "Ablation-CAM", "XGrad-CAM", "Layer-CAM", "HiRes-CAM"}
OTHERS = {
    "Fake-CAM",
    "Opti-CAM",
    "Extremal Perturbation",
    "LIME",
    "GradientSHAP",
    "Raw attention",
    "Rollout",
    "TIBAV",
}
METHODS_WITHOUT_STATED_PARAMETERS = {"LIME", "GradientSHAP", "Extremal Perturbation"}
METRICS_WITHOUT_STATED_SETTING = {"BA", "MS"}
EXTRAS = {"Bounding box", "Bounding box complement", "Network"}


def values(table: str, network: str = "", dataset: str = "") -> pd.DataFrame:
    """Methods as rows, metrics as columns."""
    frame = published(table)
    frame = frame[frame["network"].eq(network) | (network == "")]
    frame = frame[frame["dataset"].eq(dataset) | (dataset == "")]
    return frame.pivot(index="method", columns="metric", values="value")


def test_every_table_is_there_and_no_other():
    assert tables() == sorted(SIZES)


@pytest.mark.parametrize("table", sorted(SIZES))
def test_a_table_has_its_columns_its_size_and_no_number_twice(table):
    frame = published(table)
    assert tuple(frame.columns) == COLUMNS
    assert len(frame) == SIZES[table]
    assert not frame.duplicated(list(KEY)).any()
    assert frame["table"].eq(table).all()
    assert frame[["source", "unit", "dataset", "tolerance_reason"]].ne("").all().all()


@pytest.mark.parametrize("table", sorted(SIZES))
def test_values_lie_in_their_metric_s_range(table):
    frame = published(table)
    percent = frame[frame["unit"] == "%"]
    assert percent["value"].between(0, 100).all()
    assert frame.loc[frame["unit"] == "s", "value"].between(0, 160).all()
    assert (frame["tolerance"].isna() | frame["tolerance"].between(0, 3)).all()
    assert set(frame.loc[frame["metric"] == "seconds_per_batch8", "tolerance"].isna()) <= {True}


@pytest.mark.parametrize("table", [name for name in sorted(SIZES) if name.startswith("opticam")])
def test_names_are_the_ones_the_measured_results_use(table):
    frame = published(table)
    assert set(frame["network"]) <= NETWORKS
    assert {split_label(method)[0] for method in frame["method"]} <= CAMS | OTHERS | EXTRAS


def test_the_source_names_the_table():
    for table in tables():
        for source in published(table)["source"]:
            if table.startswith("opticam_table"):
                number = table.removeprefix("opticam_table").replace("A", "A.")
                assert source.endswith(f"Table {number}")


def test_grad_cam_variants_agree_on_a_network_that_ends_in_pooling_and_one_linear_layer():
    """Equal by algebra (mean gradient is the weight there), so equal in the paper's ResNet-50 columns."""
    for table in ("opticam_table1", "opticam_table3", "opticam_tableA7", "opticam_tableA14"):
        frame = values(table, "resnet50").drop(columns="seconds_per_batch8", errors="ignore")
        for twin in {"XGrad-CAM", "HiRes-CAM"} & set(frame.index):
            assert frame.loc[twin].equals(frame.loc["Grad-CAM"].rename(twin)), (table, twin)
    vgg = values("opticam_table1", "vgg16")
    assert vgg.loc["XGrad-CAM", "AD"] != vgg.loc["Grad-CAM", "AD"]


def test_the_whole_map_in_table_5_is_table_6():
    whole = values("opticam_table5").filter(like=" [S]", axis=0)
    whole.index = [split_label(label)[0] for label in whole.index]
    table6 = values("opticam_table6").rename(index={"Opti-CAM [Mask, range]": "Opti-CAM"})
    shared = sorted(set(whole.index) & set(table6.index))
    assert len(shared) == 9
    difference = (whole.loc[shared] - table6.loc[shared]).abs()
    # Two cells of the paper itself differ by 0.1: Fake-CAM and Score-CAM, AI.
    assert difference.to_numpy().max() == pytest.approx(0.1)
    assert difference.gt(0.05).sum().to_dict() == {"AD": 0, "AG": 0, "AI": 2}


def test_table_a12_repeats_table_6():
    table6, a12 = values("opticam_table6"), values("opticam_tableA12")
    shared = sorted(set(table6.index) & set(a12.index))
    assert len(shared) == 10
    pd.testing.assert_frame_equal(table6.loc[shared], a12.loc[shared])


def test_the_ground_truth_columns_of_table_a9_are_table_1():
    truth = values("opticam_tableA9").filter(like=" [ground truth]", axis=0)
    truth.index = [split_label(label)[0] for label in truth.index]
    table1 = values("opticam_table1", "resnet50").loc[truth.index, ["AD", "AG", "AI"]]
    pd.testing.assert_frame_equal(truth, table1, check_names=False)


def test_a_uniform_map_localises_alike_on_every_network():
    """LE, F1, BA and SP of Fake-CAM do not read the network at all."""
    rows = [
        values("opticam_tableA7", "resnet50"),
        values("opticam_tableA7", "vgg16"),
        values("opticam_tableA8", "vit_b_16"),
        values("opticam_tableA8", "deit_b_16"),
    ]
    for metric, value in {"LE": 54.0, "F1": 57.7, "BA": 47.9, "SP": 99.8}.items():
        assert {frame.loc["Fake-CAM", metric] for frame in rows} == {value}
    for frame in rows:
        assert (frame["OM"] >= frame["LE"]).all()  # OM also asks for the right class


def test_parts_of_a_map_keep_less_than_the_map():
    frame = values("opticam_table5")
    for label in frame.index:
        method, variant = split_label(label)
        if variant in ("B∩S", "S\\B"):
            assert frame.loc[label, "AD"] > frame.loc[labelled(method, "S"), "AD"]
    for metric in ("AD", "AG", "AI"):
        box = frame.loc["Bounding box [S]", metric]
        assert frame.loc["Fake-CAM [B∩S]", metric] == box  # Fake-CAM inside the box is the box


def test_gains_never_exceed_what_increases_allow():
    """AG averages terms in [0, 1] that are positive only where AI counts one; the paper breaks this once."""
    broken = set()
    for table in tables():
        frame = published(table)
        wide = frame.pivot(index=["dataset", "network", "method"], columns="metric", values="value")
        if {"AG", "AI"} <= set(wide.columns):
            broken |= {(table, *key) for key in wide.index[wide["AG"] > wide["AI"]]}
    assert broken == {("opticam_table2", "ImageNet val", "vit_b_16", "Grad-CAM++")}
    row = published("opticam_table2").query(
        "network == 'vit_b_16' and method == 'Grad-CAM++' and metric == 'AG'"
    )
    assert "impossible" in row["note"].item()


def test_constraints_agree_with_the_main_table_of_dp_net():
    main = (
        published("dpnet_main")
        .query("network == 'resnet50' and method == 'Parts'")
        .set_index("dataset")["value"]
    )
    none = published("dpnet_constraints").query("method == 'Parts [none]'").set_index("dataset")["value"]
    assert none.to_dict() == {dataset: main[dataset] for dataset in ("Birds", "MIT-67")}
    wide = published("dpnet_main").pivot(index=["dataset", "network"], columns="method", values="value")
    gains = (wide["Parts"] - wide["Global"]).round(1)
    assert gains.to_dict() == {
        ("MIT-67", "vgg16"): 0.7,
        ("MIT-67", "resnet50"): 1.6,
        ("Birds", "vgg16"): 9.7,
        ("Birds", "resnet50"): 3.4,
        ("ImageNet", "vgg16"): 8.0,
        ("ImageNet", "resnet50"): 3.8,
    }


def test_the_spread_over_constraints_is_the_stated_one():
    spread = (
        published("dpnet_constraints")
        .groupby("dataset")["value"]
        .agg(lambda column: column.max() - column.min())
    )
    assert spread.round(1).to_dict() == {"Birds": 0.8, "MIT-67": 1.7}


def test_dp_net_tolerances_are_binomial_half_widths():
    for table in ("dpnet_main", "dpnet_constraints"):
        for row in published(table).itertuples():
            share = row.value / 100
            half_width = 196 * math.sqrt(share * (1 - share) / row.n_images)
            assert row.tolerance == pytest.approx(half_width, abs=0.005)


SPOTS = [
    ("opticam_table1", "resnet50", "Extremal Perturbation", "seconds_per_batch8", 152.96),
    ("opticam_table1", "vgg16", "Opti-CAM", "AG", 71.2),
    ("opticam_table2", "deit_b_16", "Opti-CAM", "AI", 83.5),
    ("opticam_table2", "vit_b_16", "TIBAV", "AD", 81.7),
    ("opticam_table3", "vgg16", "GradientSHAP", "deletion", 5.2),
    ("opticam_table3", "deit_b_16", "Rollout", "deletion", 32.8),
    ("opticam_table4", "vgg16", "Layer-CAM", "MS", 1.25),
    ("opticam_table5", "vgg16", "Opti-CAM [S\\B]", "AI", 47.1),
    ("opticam_table6", "vgg16", "Opti-CAM [Diff, sigmoid]", "AG", 10.0),
    ("opticam_tableA7", "vgg16", "Opti-CAM", "LE", 59.9),
    ("opticam_tableA8", "deit_b_16", "Raw attention", "F1", 5.9),
    ("opticam_tableA9", "resnet50", "Opti-CAM [most probable, misclassified]", "AD", 64.45),
    ("opticam_tableA12", "vgg16", "Opti-CAM [IODiff, range]", "AD", 25.9),
    ("opticam_tableA13", "vgg16", "Opti-CAM [layer 26]", "AG", 80.1),
    ("opticam_tableA14", "resnet50", "Score-CAM", "seconds_per_batch8", 20.47),
]


@pytest.mark.parametrize(("table", "network", "method", "metric", "value"), SPOTS)
def test_spot_values(table, network, method, metric, value):
    assert values(table, network).loc[method, metric] == value


def test_medical_tables_keep_the_two_data_sets_apart():
    assert values("opticam_tableA10", "vgg16", "Kvasir").loc["Opti-CAM", "AI"] == 98.1
    assert values("opticam_tableA10", "vgg16", "Chest X-ray").loc["Opti-CAM", "AI"] == 86.2
    assert values("opticam_tableA11", "vgg16", "Kvasir").loc["Opti-CAM", "deletion"] == 24.8
    sizes = published("opticam_tableA10").groupby("dataset")["n_images"].unique().map(list)
    assert sizes.to_dict() == {"Chest X-ray": [624], "Kvasir": [1000]}


def test_what_is_not_stated_is_missing_not_zero():
    misclassified = published("opticam_tableA9").query("method.str.contains('misclassified')")
    assert len(misclassified) == 12
    assert misclassified["n_images"].isna().all()
    vit = published("opticam_table2").query("network == 'vit_b_16'")
    assert vit["tolerance"].isna().all()
    deit = published("opticam_table2").query("network == 'deit_b_16' and metric == 'AG'")
    stated = ~deit["method"].isin(METHODS_WITHOUT_STATED_PARAMETERS)
    assert deit.loc[stated, "tolerance"].eq(0.3).all() and stated.sum() == 11


def test_what_rests_on_a_setting_that_is_not_stated_cannot_be_compared():
    for row in pd.concat(map(published, tables())).itertuples():
        unstated = split_label(row.method)[0] in METHODS_WITHOUT_STATED_PARAMETERS
        if unstated or row.metric in METRICS_WITHOUT_STATED_SETTING:
            assert math.isnan(row.tolerance), row
            assert re.search("not (state|say|public)", row.tolerance_reason), row


def test_only_what_is_not_stated_lacks_a_tolerance_in_the_main_tables():
    """The other cells of the convolutional networks stay comparable."""
    for table in ("opticam_table1", "opticam_table3", "opticam_table4", "opticam_tableA7"):
        frame = published(table)
        blank = frame["method"].isin(METHODS_WITHOUT_STATED_PARAMETERS)
        blank |= frame["metric"].isin([*METRICS_WITHOUT_STATED_SETTING, "seconds_per_batch8"])
        blank |= frame["network"] == "vit_b_16"
        assert (frame["tolerance"].isna() == blank).all(), table


def test_labels_split_into_what_they_were_made_of():
    for method, variant in [("Opti-CAM", ""), ("Opti-CAM", "Mask, range"), ("Grad-CAM++", "S\\B")]:
        assert split_label(labelled(method, variant)) == (method, variant)


def test_an_unknown_table_is_refused_with_the_known_names():
    with pytest.raises(
        ValueError, match=r"table 'table1' given; accepted are dpnet_constraints, .*opticam_table1"
    ):
        published("table1")
    with pytest.raises(ValueError, match="accepted are"):
        published("../published/opticam_table1")


def test_the_files_are_plain_text_with_unix_line_ends():
    for path in FOLDER.glob("*.csv"):
        assert b"\r" not in path.read_bytes()
        assert path.read_text(encoding="utf-8").endswith("\n")
