"""The orderings read off the published tables, against the CSV files read here by themselves."""

from csv import DictReader

import pytest

from reproduce.claims.comparison import Comparison
from reproduce.claims.orderings import DEFAULTS, orderings, pairs
from reproduce.published.numbers import FOLDER, tables

ALL = orderings()


def read(table: str) -> list[dict[str, str]]:
    with (FOLDER / f"{table}.csv").open(encoding="utf-8") as lines:
        return list(DictReader(lines))


def test_every_table_of_several_rows_is_asked_for():
    assert set(tables()) - set(DEFAULTS) == {"opticam_text", "dpnet_context"}
    assert {one.table for one in ALL} == set(DEFAULTS)


@pytest.mark.parametrize("table", ["opticam_table1", "opticam_table2", "opticam_table3"])
def test_opti_cam_is_set_against_every_other_method_in_every_network_and_metric(table):
    rows = read(table)
    expected = {
        (row["network"], row["metric"], row["method"])
        for row in rows
        if row["method"] != "Opti-CAM"
        and any(
            (other["network"], other["metric"], other["method"])
            == (row["network"], row["metric"], "Opti-CAM")
            for other in rows
        )
    }
    found = [(one.network, one.metric, one.right) for one in ALL if one.table == table]
    assert len(found) == len(set(found)) and set(found) == expected
    assert {one.left for one in ALL if one.table == table} == {"Opti-CAM"}


def test_parts_are_set_against_global_in_the_six_cells():
    six = [(one.dataset, one.network, one.published) for one in ALL if one.table == "dpnet_main"]
    assert six == [
        ("MIT-67", "vgg16", pytest.approx(0.7)),
        ("MIT-67", "resnet50", pytest.approx(1.6)),
        ("Birds", "vgg16", pytest.approx(9.7)),
        ("Birds", "resnet50", pytest.approx(3.4)),
        ("ImageNet", "vgg16", pytest.approx(8.0)),
        ("ImageNet", "resnet50", pytest.approx(3.8)),
    ]


def test_every_combination_of_constraints_is_set_against_none():
    found = {one.left for one in ALL if one.table == "dpnet_constraints"}
    assert found == {row["method"] for row in read("dpnet_constraints")} - {"Parts [none]"}
    assert {one.right for one in ALL if one.table == "dpnet_constraints"} == {"Parts [none]"}


def test_signs_are_those_of_the_printed_numbers():
    for one in ALL:
        value = {row["method"]: float(row["value"]) for row in read(one.table) if _place(row) == _place(one)}
        difference = value[one.left] - value[one.right]
        assert one.published == pytest.approx(difference, abs=1e-9)
        assert one.sign == (difference > 1e-9) - (difference < -1e-9)


def test_a_tie_has_half_its_last_digit_as_margin_and_others_none():
    ties = [one for one in ALL if not one.sign]
    assert ties and all(one.margin > 0 for one in ties)
    assert not any(one.margin for one in ALL if one.sign)
    assert {one.margin for one in ties if one.metric in ("AD", "AG", "AI")} <= {0.05}


def test_variants_are_set_against_the_default_one_and_rivals_variant_by_variant():
    methods = ["Opti-CAM [S]", "Opti-CAM [B]", "Grad-CAM [S]", "Grad-CAM [B]"]
    assert list(pairs(methods, "Opti-CAM [S]")) == [
        ("Opti-CAM [S]", "Opti-CAM [B]"),
        ("Opti-CAM [S]", "Grad-CAM [S]"),
        ("Opti-CAM [B]", "Grad-CAM [B]"),
    ]


def _place(one: Comparison | dict[str, str]) -> tuple[str, str, str]:
    if isinstance(one, dict):
        return one["dataset"], one["network"], one["metric"]
    return one.dataset, one.network, one.metric
