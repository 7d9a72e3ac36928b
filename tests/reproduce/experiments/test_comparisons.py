"""Claims compare means over the images that both methods were measured on."""

import pandas as pd
import pytest

from reproduce.experiments.comparisons import best, means, of_network, worst


def rows(**methods: dict[str, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("net", method, image, "AG", value)
            for method, values in methods.items()
            for image, value in values.items()
        ],
        columns=["network", "method", "image", "metric", "value"],
    )


ROWS = rows(ours={"a": 10, "b": 50}, slow={"b": 40}, fast={"a": 30, "b": 20})


def test_a_rival_is_met_on_shared_images_only():
    claim = best("text", ROWS, "AG", "ours", ["slow"])
    assert claim.holds is True  # over all images ours has 30 against 40
    assert claim.evidence == "AG 50.0 against 40.0 of slow, 1 images"


def test_the_evidence_names_the_closest_rival():
    assert best("text", ROWS, "AG", "ours").evidence == "AG 30.0 against 25.0 of fast, 2 images"


def test_one_better_rival_is_enough_to_fail():
    claim = best("text", ROWS, "AG", "fast")
    assert claim.holds is False
    assert "of slow" in claim.evidence


def test_a_tie_is_no_win():
    tied = rows(ours={"a": 10}, other={"a": 10})
    assert best("text", tied, "AG", "ours").holds is False
    assert worst("text", tied, "AG", "ours").holds is False


def test_lower_is_better_for_a_drop():
    drops = rows(ours={"a": 1}, other={"a": 2}).assign(metric="AD")
    assert best("text", drops, "AD", "ours").holds is True
    assert worst("text", drops, "AD", "ours").holds is False


@pytest.mark.parametrize("ours", ["absent", "ours"])
def test_missing_results_decide_nothing(ours):
    assert best("text", ROWS, "AG", ours, ["also absent"]).holds is None


def test_methods_without_a_common_image_decide_nothing():
    apart = rows(ours={"a": 1}, other={"b": 2})
    assert best("text", apart, "AG", "ours").holds is None
    assert means(apart, "AG", ("ours", "other")) is None


def test_means_are_over_images_common_to_all():
    found = means(ROWS, "AG", ("ours", "slow", "fast"))
    assert found.to_dict() == {"ours": 50, "slow": 40, "fast": 20}
    assert means(ROWS, "AG", ("ours", "absent")) is None


def test_networks_are_kept_apart():
    both = pd.concat([ROWS, ROWS.assign(network="other", value=0.0)])
    assert (of_network(both, "net")["value"] > 0).all()
