"""How many claims have each verdict, and how many would by chance."""

import pandas as pd
import pytest

from reproduce.claims.summary import counts

ORDERINGS = {"contradicts": 8, "agrees": 20, "inconclusive": 12, "not run": 100}


@pytest.fixture
def claims() -> pd.DataFrame:
    lines = [("ordering", name) for name, count in ORDERINGS.items() for _ in range(count)]
    frame = pd.DataFrame(lines + [("assertion", "agrees")] * 80, columns=["kind", "verdict"])
    return frame.assign(paper="DP-Net", adjusted_verdict=frame["verdict"])


def test_by_chance_one_of_forty_judged_orderings_lies_on_either_side(claims):
    """What was not run is not judged; half of 5 % lies on either side where nothing differs."""
    found = counts(claims, "ordering").set_index("state")
    assert found["plain"].to_dict() == found["adjusted"].to_dict() == ORDERINGS
    assert found["chance"].dropna().to_dict() == pytest.approx({"contradicts": 1.0, "agrees": 1.0})


def test_of_assertions_no_number_is_expected_by_chance(claims):
    found = counts(claims, "assertion").set_index("state")
    assert found.loc["agrees", "plain"] == 80 and found["chance"].isna().all()
