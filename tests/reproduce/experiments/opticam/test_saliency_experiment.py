"""Means are compared over the images that all methods were measured on."""

import pandas as pd

from reproduce.experiments.opticam.saliency_experiment import common_images, of_network


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


def test_only_images_that_all_methods_have_are_compared():
    found = common_images(ROWS, "AG", ("ours", "slow", "fast"))
    assert found.to_dict("index") == {"b": {"ours": 50, "slow": 40, "fast": 20}}


def test_without_a_common_image_nothing_is_compared():
    assert common_images(rows(ours={"a": 1}, other={"b": 2}), "AG", ("ours", "other")).empty
    assert common_images(ROWS, "AG", ("ours", "absent")).empty


def test_networks_are_kept_apart():
    both = pd.concat([ROWS, ROWS.assign(network="other", value=0.0)])
    assert (of_network(both, "net")["value"] > 0).all()
