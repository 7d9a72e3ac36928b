"""Tables of benchmarks, against numbers taken by hand."""

import pandas as pd

from reproduce.benchmarks import localization
from reproduce.benchmarks.causal import report

WHERE = {"commit": "c", "torch": "2", "threads": 1, "device": "d"}


def test_insertion_and_deletion_are_set_against_the_plain_loop_of_their_network():
    columns = ["network", "images", "side", "seconds", "largest_difference"]
    rows = pd.DataFrame(
        [
            ("a", 4, "plain loop", 6.0, 0.0),
            ("a", 4, "plain loop", 5.0, 0.0),
            ("a", 4, "opticam.metrics", 0.5, 2e-6),
            ("a", 4, "network alone", 0.25, None),
            ("b", 4, "plain loop", 3.0, 0.0),
            ("b", 4, "opticam.metrics", 1.5, 0.0),
        ],
        columns=columns,
    ).assign(**WHERE)
    lines = report.markdown(report.summary(rows), rows).splitlines()[-5:]
    assert lines == [
        "| a | 4 | plain loop | 5.00 | 1.0 | 0.0e+00 |",
        "| a | 4 | opticam.metrics | 0.50 | 10.0 | 2.0e-06 |",
        "| a | 4 | network alone | 0.25 | 20.0 |  |",
        "| b | 4 | plain loop | 3.00 | 1.0 | 0.0e+00 |",
        "| b | 4 | opticam.metrics | 1.50 | 2.0 | 0.0e+00 |",
    ]


def test_maps_per_second_are_medians_of_their_protocol_and_grid():
    rows = pd.DataFrame(
        [
            (protocol, grid, "BA", rate + add)
            for protocol, grid, rate in (("legacy", 7, 100), ("legacy", 14, 200), ("paper", 7, 300))
            for add in (0.0, 1.0, 50.0)
        ],
        columns=["protocol", "grid", "metric", "maps_per_second"],
    ).assign(maps=8, **WHERE)
    lines = localization.markdown(localization.summary(rows), rows).splitlines()[-3:]
    assert lines[0] == "| metrics | legacy, 7 x 7 | legacy, 14 x 14 | paper, 7 x 7 |"
    assert lines[2] == "| BA | 101 | 201 | 301 |"
