from __future__ import annotations

import math
import sqlite3

import numpy as np
import pandas as pd
import pytest
import torch

from reproduce.workspace.store import Row, Store, batch_rows

KEY = ("sample", "main", "resnet50", "Opti-CAM")


def row(image="a.png", metric="AD", value=1.5, method="Opti-CAM", network="resnet50", experiment="main"):
    return Row("sample", experiment, network, method, image, metric, value)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "folder" / "results.sqlite") as opened:
        yield opened


def test_written_values_are_read_back_exactly(store):
    values = [0.1, 1 / 3, -2.5e-300, float(np.float32(0.1)), math.inf, -math.inf]
    store.write([row(image=f"{index}.png", value=value) for index, value in enumerate(values)])
    frame = store.frame("sample", "main")
    assert frame["value"].tolist() == values
    assert list(frame.columns) == ["network", "method", "image", "metric", "value"]


def test_nan_is_stored_as_null_read_as_nan_and_counts_as_done(store):
    store.write([row(value=math.nan)])
    assert store.connection.execute("SELECT value IS NULL FROM results").fetchone() == (1,)
    frame = store.frame("sample", "main")
    assert frame["value"].dtype == np.float64
    assert math.isnan(frame["value"].item())
    assert store.done(*KEY, ["AD"]) == {"a.png"}


def test_same_key_replaces_the_value(store):
    store.write([row(value=1.0)])
    store.write([row(value=2.0)])
    assert store.frame("sample", "main")["value"].tolist() == [2.0]


def test_order_of_writing_does_not_show_in_the_frame(tmp_path):
    rows = [
        row(image=image, metric=metric, value=ord(image) / ord(metric[1]))
        for image in ("b", "a", "c")
        for metric in ("AI", "AD", "AG")
    ]
    with Store(tmp_path / "one") as one, Store(tmp_path / "two") as two:
        one.write(rows)
        for each in reversed(rows):
            two.write([each])
        pd.testing.assert_frame_equal(one.frame("sample", "main"), two.frame("sample", "main"))


def test_done_needs_every_metric_of_this_method(store):
    store.write([row("a", "AD"), row("a", "AG"), row("b", "AD"), row("b", "AG", method="Grad-CAM")])
    assert store.done(*KEY, ["AD", "AG"]) == {"a"}
    assert store.done(*KEY, ["AD", "AD"]) == {"a", "b"}
    assert store.done(*KEY, ["insertion"]) == set()
    with pytest.raises(ValueError, match="metrics is empty"):
        store.done(*KEY, [])


def test_frame_filters_by_name_or_names_and_refuses_unknown_ones(store):
    store.write(
        [row(method=name, network=net) for name in ("LIME", "Opti-CAM", "TIBAV") for net in ("a", "b")]
    )
    assert len(store.frame("sample", "main", network="a")) == 3
    chosen = store.frame("sample", "main", method=["LIME", "TIBAV"], network="b")
    assert chosen["method"].tolist() == ["LIME", "TIBAV"]
    assert store.frame("sample", "other").empty
    with pytest.raises(ValueError, match="layer given; accepted are network, method, image, metric"):
        store.frame("sample", "main", layer="x")


def test_long_filter_lists_pass_the_limit_on_sql_parameters(store):
    names = [f"{index:05d}" for index in range(40_001)]
    store.write([row(image=name) for name in names])
    assert len(store.frame("sample", "main", image=names[1:])) == 40_000


def test_batch_rows_takes_lists_arrays_and_tensors(store):
    values = {
        "AD": [1.0, 2.0, 3.0],
        "AG": np.array([4.0, 5.0, 6.0]),
        "AI": torch.tensor([7.0, 8.0, math.nan]),
    }
    store.write(batch_rows(*KEY, ["a", "b", "c"], values))
    table = store.frame("sample", "main").pivot(index="image", columns="metric", values="value")
    np.testing.assert_array_equal(table.to_numpy(), [[1, 4, 7], [2, 5, 8], [3, 6, math.nan]])
    with pytest.raises(ValueError, match=r"values\['AD'\] has 3 entries for 2 images"):
        batch_rows(*KEY, ["a", "b"], {"AD": [1, 2, 3]})


def test_a_bad_row_leaves_nothing_of_its_batch(store):
    with pytest.raises(TypeError, match="accepted is"):
        store.write([row("a"), row(image=7)])
    with pytest.raises(ValueError, match="could not convert"):
        store.write([row("a"), row(value="much")])
    assert store.frame("sample", "main").empty


def test_delete_takes_what_it_is_told_and_counts_it(store):
    store.write([row(method=name, image=image) for name in ("LIME", "TIBAV") for image in ("a", "b", "c")])
    store.write([row(experiment="other")])
    store.skip("sample", "main", "bad.png", "corrupt")
    assert store.delete("sample", "main", method="LIME") == 3
    assert store.skips("sample", "main")["image"].tolist() == ["bad.png"]
    assert store.delete("sample", "main") == 3
    assert store.skips("sample", "main").empty
    assert len(store.frame("sample", "other")) == 1


def test_skips_keep_one_reason_an_image(store):
    store.skip("sample", "main", "b.png", "corrupt")
    store.skip("sample", "main", "a.png", "no boxes")
    store.skip("sample", "main", "b.png", "truncated")
    assert store.skips("sample", "main").values.tolist() == [["a.png", "no boxes"], ["b.png", "truncated"]]


def test_a_run_has_its_environment_and_both_times(store):
    environment = {"commit": "abc", "versions": {"torch": "2.11"}, "device": "cpu", "seed": 3}
    first = store.start_run(**environment, arguments={"limit": 8, "only": ["main"]})
    second = store.start_run(**environment, arguments={})
    store.end_run(first)
    runs = store.runs().set_index("id")
    assert runs.loc[first, "arguments"] == {"limit": 8, "only": ["main"]}
    assert runs.loc[first, "versions"] == {"torch": "2.11"}
    assert runs.loc[first, "start"] <= runs.loc[first, "end"]
    assert pd.isna(runs.loc[second, "end"])
    with pytest.raises(ValueError, match="run 'nobody' is not in"):
        store.end_run("nobody")


def test_merge_of_two_shards_equals_one_store_and_may_be_repeated(tmp_path):
    rows = [
        row(image=f"{index}", metric=metric, value=index / 7)
        for index in range(11)
        for metric in ("AD", "AG")
    ]
    with Store(tmp_path / "whole") as whole, Store(tmp_path / "main") as main:
        whole.write(rows)
        for rank in range(2):
            with Store(tmp_path / f"rank{rank}") as shard:
                shard.write(rows[rank::2])
                shard.skip("sample", "main", f"bad{rank}", "corrupt")
                shard.end_run(shard.start_run(commit="c", versions={}, device="cpu", seed=0, arguments={}))
        for rank in (0, 1, 1):
            main.merge(tmp_path / f"rank{rank}")
        pd.testing.assert_frame_equal(main.frame("sample", "main"), whole.frame("sample", "main"))
        assert main.skips("sample", "main")["image"].tolist() == ["bad0", "bad1"]
        assert len(main.runs()) == 2


def test_merge_refuses_a_missing_or_foreign_file_and_stays_usable(store, tmp_path):
    with pytest.raises(FileNotFoundError, match="no results file"):
        store.merge(tmp_path / "absent")
    (tmp_path / "text").write_text("not a data base, but long enough to have a header\n" * 40)
    with pytest.raises(ValueError, match="is not a results file"):
        store.merge(tmp_path / "text")
    store.write([row()])
    assert len(store.frame("sample", "main")) == 1


def test_a_file_of_another_schema_is_refused(tmp_path):
    with sqlite3.connect(tmp_path / "later") as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(ValueError, match="has schema 99"):
        Store(tmp_path / "later")


def test_the_file_uses_a_write_ahead_log(store):
    assert store.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_methods_are_those_of_one_network_with_results(store):
    store.write(
        [row(method=method, network=network) for method, network in (("b", "x"), ("a", "x"), ("c", "y"))]
    )
    assert store.methods("sample", "main", "x") == ["a", "b"]
    assert store.methods("sample", "other", "x") == []


def test_forgotten_skips_leave_other_experiments_and_results_alone(store):
    store.write([row()])
    for experiment in ("main", "other"):
        store.skip("sample", experiment, "bad", "corrupt")
    assert (
        store.skip_kinds("sample") == ["main", "other"] and len(store.skips("sample", "main", "other")) == 2
    )
    store.forget_skips("sample", "other", ["good"])
    store.forget_skips("sample", "main", ["good", "bad"])
    assert len(store.skips("sample", "main")) == 0
    assert len(store.skips("sample", "other")) == 1
    store.forget_skips("sample", "other")
    assert store.skip_kinds("sample") == []
    assert len(store.frame("sample", "main")) == 1
