"""What is told of a judged comparison, on Table 1 of two networks under noise: family, unit, and what would decide."""

import numpy as np
import pandas as pd
import pytest

from reproduce.claims.judging import Claims, frame, judge
from reproduce.claims.measured import Results
from reproduce.claims.verdicts import holm, verdict
from reproduce.published.numbers import published

OWN = {"resnet50": "sample_resnet", "vgg16": "sample_vgg"}


@pytest.fixture(scope="module")
def claims() -> Claims:
    """Judged on 60 pictures around the published means."""
    generator = np.random.default_rng(1)
    rows = [
        (cell.network, OWN[cell.network], cell.method, f"picture {k}", cell.metric, value)
        for cell in published("opticam_table1").query("network in @OWN").itertuples()
        for k, value in enumerate(cell.value + generator.normal(0, 30, 60))
    ]
    columns = ["network", "own", "method", "image", "metric", "value"]
    return judge(Results({"opticam_table1": pd.DataFrame(rows, columns=columns)}))


def test_a_family_is_the_comparisons_of_one_assertion_on_one_network(claims):
    moved = set()
    for judged in claims.assertions:
        adjusted = holm([one.difference.p for one in judged.parts])
        for one, p in zip(judged.parts, adjusted):
            assert one.adjusted == verdict(one.comparison, one.difference, p)
            moved |= {judged.own} if one.adjusted != one.plain else set()
    assert moved == set(OWN.values())


def test_seconds_are_paired_over_batches_and_other_metrics_over_images(claims):
    lines = frame(claims).query("kind == 'ordering' and n > 0")
    found = set(zip(lines["comparison"].str.split(" ").str[0], lines["unit"]))
    of_images = {(metric, "images") for metric in ("AD", "AG", "AI")}
    assert found == of_images | {("seconds_per_batch8", "batches")}


def test_only_an_inconclusive_comparison_says_how_many_repeats_would_decide_it(claims):
    judged = [one for one in claims.orderings if one.difference.n]
    assert {one.plain for one in judged} >= {"agrees", "inconclusive"}
    assert all((one.needed is None) == (one.plain != "inconclusive") for one in judged)
