"""The papers' claims, judged on the results of the last full sample run, which are committed in figures/."""

from pathlib import Path

import pandas as pd
import pytest

TABLES = Path(__file__).parents[3] / "figures" / "tables"
STAND_INS = {"resnet50": "opticam_table1", "vgg16": "opticam_table1", "vit_b_16": "opticam_table2"}


def measured(table: str, network: str, metric: str) -> pd.Series:
    cells = pd.read_csv(TABLES / f"{table}.csv")
    chosen = cells[(cells["network"] == network) & (cells["metric"] == metric)]
    return chosen.set_index("method")["measured"].dropna()


@pytest.mark.parametrize("network", STAND_INS)
def test_opti_cam_has_the_lowest_drop_after_fake_cam(network):
    drops = measured(STAND_INS[network], network, "AD").drop("Fake-CAM")
    assert len(drops) >= 2
    assert drops.idxmin() == "Opti-CAM"


@pytest.mark.parametrize("metric", ["AG", "AI"])
@pytest.mark.parametrize("network", STAND_INS)
def test_opti_cam_has_the_highest_gain_and_increase(network, metric):
    values = measured(STAND_INS[network], network, metric)
    assert len(values) >= 3
    assert values.idxmax() == "Opti-CAM"


@pytest.mark.parametrize("dataset", ["MIT-67", "Birds", "ImageNet"])
def test_parts_reach_the_accuracy_of_global(dataset):
    cells = pd.read_csv(TABLES / "dpnet_main.csv")
    means = cells[cells["dataset"] == dataset].groupby("method")["measured"].mean()
    assert means["Parts"] >= means["Global"]


def test_claims_file_says_what_the_tables_say():
    claims = pd.read_csv(TABLES / "claims.csv")
    holds = dict(zip(claims["text"], claims["holds"]))
    for network, sample in (
        ("resnet50", "sample_resnet"),
        ("vgg16", "sample_vgg"),
        ("vit_b_16", "sample_vit"),
    ):
        gains = measured(STAND_INS[network], network, "AG")
        assert holds[f"Opti-CAM has the highest average gain on {sample}"] == (gains.idxmax() == "Opti-CAM")
