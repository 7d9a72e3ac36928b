"""What a profile's stored results of part models say, against SciPy's t-tests over the seeds."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from reproduce.claims.comparison import Comparison
from reproduce.claims.judging import frame, judge
from reproduce.claims.measured import Results, dataset_of, differences, stored_results
from reproduce.experiments.dpnet.constraints import INTERPRETABILITY
from reproduce.experiments.dpnet.quality import OF_RANDOM, QUALITY
from reproduce.parts.models import CONSTRAINTS, EXPERIMENT, SAME_LAYER, parts_label, run_key
from reproduce.workspace.store import Row

METHODS = ("Global", SAME_LAYER, *map(parts_label, CONSTRAINTS))
METRICS = dict.fromkeys((*INTERPRETABILITY, *QUALITY, *OF_RANDOM))


@pytest.fixture
def results(make_parts_workspace) -> Results:
    """Numbers drawn for five seeds of every part model of a profile, as its experiments read them."""
    workspace, generator = make_parts_workspace(seeds=5), np.random.default_rng(0)
    workspace.store.write(
        Row("test", EXPERIMENT, "tiny", method, run_key("fine", seed), metric, float(generator.normal()))
        for method in METHODS
        for seed in range(5)
        for metric in METRICS
    )
    return stored_results(workspace)


def by_method(results: Results, comparison: Comparison) -> pd.DataFrame:
    """The values of a comparison's table and metric: a row for each seed, a column for each method."""
    rows = results.tables[comparison.table]
    own = rows[rows["metric"] == comparison.metric]
    return own.pivot(index="image", columns="method", values="value")


def test_every_claim_on_part_models_is_judged_by_the_paired_t_test_over_seeds(results):
    claims = judge(results)
    parts = [part for group in (claims.assertions, claims.own) for one in group for part in one.parts]
    judged = [one for one in (*claims.orderings, *parts) if one.difference.n]
    names = ("main", "layers", "constraints", "interpretability", "quality")
    assert {one.comparison.table for one in judged} == {f"dpnet_{name}" for name in names}
    for one in judged:
        values = by_method(results, one.comparison)
        left, right = values[one.comparison.left], values[one.comparison.right] + one.comparison.offset
        assert one.difference.p == pytest.approx(stats.ttest_rel(left, right).pvalue), one.comparison.words
    lines = frame(claims)
    assert set(lines[lines["n"] > 0]["unit"]) == {"seeds"}


@pytest.mark.parametrize("margin", [0.1, 5.0])
def test_a_tie_over_seeds_is_judged_by_the_nearer_end_of_its_margin(results, margin):
    tie = Comparison("dpnet_main", "Birds", "resnet50", "accuracy", "Parts", "Global", 0, margin=margin)
    (found,) = differences([results.pair(tie, "tiny")])
    values = by_method(results, tie)
    ends = [stats.ttest_1samp(values["Parts"] - values["Global"], end).pvalue for end in (-margin, margin)]
    assert found.p == pytest.approx(max(ends))


def test_a_table_of_several_data_sets_is_of_none():
    assert dataset_of("opticam_table1") == "ImageNet val" and dataset_of("dpnet_main") == ""
