"""The files of assertions: readable, complete, and right about what the papers' own tables bear out."""

import numpy as np
import pandas as pd
import pytest

from reproduce.claims.assertions import OWN, assertions, instances
from reproduce.claims.judging import frame, judge
from reproduce.claims.measured import Results
from reproduce.published.numbers import CLAIMS, tables
from reproduce.workspace.profile import load_profile

NOTHING = Results({})


@pytest.mark.parametrize("path", [CLAIMS, OWN], ids=["papers", "own"])
def test_every_row_says_all_that_a_claim_needs(path):
    found = assertions(path)
    assert len({one.id for one in found}) == len(found) >= 5
    for one in found:
        assert one.place and one.assertion.endswith(".") and one.borne_out and one.decided_by, one.id


def test_what_the_file_says_of_the_papers_own_tables_is_what_their_numbers_say():
    """ "yes" where every printed cell has the asserted sign; an exception is named where one has not."""
    judged = 0
    for one in assertions(CLAIMS):
        if one.statistic != "ordering":
            continue
        parts = [part for place in instances(one, NOTHING) for part in place.comparisons]
        # Rounded: a sum's rounding is no difference.
        printed = [
            np.sign(round(part.published, 9)) == part.sign for part in parts if not np.isnan(part.published)
        ]
        if printed and one.borne_out.startswith("yes"):
            assert all(printed), one.id
            judged += 1
        elif printed and one.borne_out.startswith("no"):
            assert not all(printed), one.id
            judged += 1
    assert judged >= 10


def test_a_claim_on_a_published_table_is_of_cells_that_it_prints():
    for one in assertions(CLAIMS):
        for place in instances(one, NOTHING) if one.statistic == "ordering" else ():
            for part in place.comparisons:
                assert part.table not in tables() or not np.isnan(part.published), (one.id, part.words)


def test_a_claim_says_by_how_much_constraints_may_cost_in_cross_validation():
    """The profiles that measure it and the claim's own words name one number of points."""
    words = next(one.decided_by for one in assertions(CLAIMS) if one.id == "constraints-cost-little")
    for name in ("sample", "folders"):
        tolerance = load_profile(name).parts.constraint_tolerance
        assert f"at most {tolerance:g} point of accuracy" in words


def test_own_statements_are_counted_apart_from_the_papers():
    claims = frame(judge(NOTHING))
    own = claims[claims["kind"] == "own statement"]
    assert set(own["id"]) == {one.id for one in assertions(OWN)}
    assert set(own["paper"]) == {"this project"}
    assert not (claims[claims["kind"] != "own statement"]["paper"] == "this project").any()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"statistic": "vote"}, "statistic 'vote'"),
        ({"cells": "opticam_table1 | * | AD | Opti-CAM = Grad-CAM"}, "TABLE | NETWORK | METRIC | A > B"),
    ],
)
def test_a_row_without_a_meaning_is_refused_by_name(tmp_path, change, words):
    table = pd.read_csv(CLAIMS, dtype=str, keep_default_na=False)
    row = table[table["statistic"] == "ordering"].head(1).assign(**change)
    row.to_csv(tmp_path / "bad.csv", index=False)
    with pytest.raises(ValueError, match=r"(?s)" + words.replace("|", r"\|")):
        assertions(tmp_path / "bad.csv")


def test_other_columns_are_refused(tmp_path):
    (tmp_path / "bad.csv").write_text("id,text\n1,one\n")
    with pytest.raises(ValueError, match="columns"):
        assertions(tmp_path / "bad.csv")
