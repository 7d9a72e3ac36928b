"""The benchmarks' bar plots: every number and name of the stored CSV files is in the drawing."""

import re

import pandas as pd
import pytest

from reproduce.benchmarks import localization, part_training
from reproduce.benchmarks.causal import report as causal
from reproduce.workspace.paths import PUBLISHED


@pytest.mark.parametrize(
    ("module", "name", "column", "keys", "joined"),
    [
        (causal, "causal", "seconds", ["network", "side"], "min"),
        (localization, "localization", "maps_per_second", ["protocol", "grid", "metric"], "median"),
        (part_training, "part_training", "images_a_second", ["constraints", "side"], "max"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_every_bar_carries_its_number(tmp_path, module, name, column, keys, joined):
    rows = pd.read_csv(PUBLISHED / "benchmarks" / f"{name}_cpu.csv")
    paths = [tmp_path / f"{name}.svg", tmp_path / "again" / f"{name}.svg"]
    paths[1].parent.mkdir()
    for path in paths:
        module.plot(rows, path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    words = re.findall(r"<!-- (.*?) -->", paths[0].read_text(encoding="utf-8"))
    for number in rows.groupby(keys)[column].agg(joined):
        assert f"{number:.4g}" in words
    for text in rows[keys].astype(str).to_numpy().ravel():
        assert any(text in word for word in words)
