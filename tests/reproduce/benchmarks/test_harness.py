"""A benchmark's CSV: groups are replaced whole, and only what changed is measured again."""

import pandas as pd
import pytest

from reproduce.benchmarks import harness
from reproduce.benchmarks.harness import Record
from reproduce.benchmarks.reports import every, measured_with

GROUP = {"shape": "small", "batch": 1}


@pytest.fixture
def open_record(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "ROOT", tmp_path)
    monkeypatch.setattr(harness, "COMMITTED", tmp_path / "committed")
    (tmp_path / "kernel.cpp").write_text("int one;")

    def open_(changed_only=True, name="out/work_cpu.csv"):
        return Record(tmp_path / name, tuple(GROUP), ("kernel.cpp",), "cpu", changed_only)

    return open_


def rows(*values):
    return ({"side": f"side {number}", "ms": value} for number, value in enumerate(values))


def test_a_group_is_replaced_whole_and_others_stay(open_record):
    record = open_record()
    record.add(GROUP, rows(1.0, 2.0))
    record.add({"shape": "large", "batch": 1}, rows(7.0))
    open_record().add(GROUP, rows(3.0))
    table = pd.read_csv(record.path)
    assert list(zip(table["shape"], table["ms"])) == [("large", 7.0), ("small", 3.0)]
    assert {"commit", "torch", "device", "sources"} <= set(table.columns)


def test_what_is_measured_is_pending_only_when_sources_change(open_record, tmp_path):
    assert open_record().pending(GROUP)
    open_record().add(GROUP, rows(1.0))
    assert not open_record().pending(GROUP)
    assert open_record(changed_only=False).pending(GROUP)
    assert open_record().pending({"shape": "small", "batch": 8})
    (tmp_path / "kernel.cpp").write_text("int two;")
    assert open_record().pending(GROUP)


def test_another_version_of_torch_is_measured_anew(open_record, monkeypatch):
    open_record().add(GROUP, rows(1.0))
    monkeypatch.setattr(harness.environment.__globals__["torch"], "__version__", "9.9.9")
    assert open_record().pending(GROUP)


def test_a_group_that_fails_half_way_is_not_written(open_record):
    def failing():
        yield {"side": "ours", "ms": 1.0}
        raise RuntimeError("out of memory")

    record = open_record()
    record.add({"shape": "large", "batch": 1}, rows(7.0))
    with pytest.raises(RuntimeError, match="out of memory"):
        record.add(GROUP, failing())
    assert open_record().pending(GROUP)
    assert list(pd.read_csv(record.path)["shape"]) == ["large"]


def test_a_machine_that_refuses_to_write_keeps_what_is_measured(open_record, monkeypatch):
    record = open_record()
    record.add(GROUP, rows(1.0))
    before = record.path.read_bytes()

    def refused(*given):
        raise OSError("no space left on device")

    monkeypatch.setattr("opticam.data.files.os.fsync", refused)
    with pytest.raises(OSError, match="no space left"):
        record.add({"shape": "large", "batch": 1}, rows(7.0))
    assert record.path.read_bytes() == before


def test_a_new_folder_goes_on_from_the_committed_file(open_record, tmp_path):
    open_record(name="committed/work_cpu.csv").add(GROUP, rows(1.0))
    fresh = open_record()
    assert not fresh.pending(GROUP)
    fresh.add({"shape": "large", "batch": 1}, rows(2.0))
    assert list(pd.read_csv(fresh.path)["shape"]) == ["small", "large"]
    assert open_record(changed_only=False, name="elsewhere/work_cpu.csv").rows == []


def test_where_the_committed_file_lacks_nothing_its_rows_are_written_at_once(open_record):
    committed = open_record(name="committed/work_cpu.csv")
    committed.add(GROUP, rows(1.0))
    assert open_record().path.read_bytes() == committed.path.read_bytes()


def test_committed_rows_of_another_machine_are_not_gone_on_from(open_record, monkeypatch):
    committed = open_record(name="committed/work_cpu.csv")
    for number, threads in enumerate(("64", committed.facts["threads"])):
        monkeypatch.setattr(harness, "environment", lambda *_, n=threads: committed.facts | {"threads": n})
        open_record(name="committed/work_cpu.csv").add({"shape": "large", "batch": number}, rows(1.0))
    fresh = open_record()
    assert list(pd.read_csv(fresh.path)["batch"]) == [1]
    fresh.add(GROUP, rows(2.0))
    assert pd.read_csv(fresh.path)["threads"].nunique() == 1


def test_a_table_that_a_kernel_is_chosen_by_is_a_source(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "ROOT", tmp_path)
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "kernel.cpp").write_text("int one;")
    before = harness.fingerprint(["kernels"])
    (tmp_path / "kernels" / "fastest.csv").write_text("capability\n")
    assert harness.fingerprint(["kernels"]) != before


def test_a_report_names_every_commit_and_device_of_its_rows():
    facts = {"torch": "2.14", "threads": 2.0}
    table = pd.DataFrame([facts | {"commit": name, "device": f"CPU {name}"} for name in "aba"])
    assert measured_with(table) == "Commit a and b, PyTorch 2.14, 2 threads"
    assert every(table, "device") == "CPU a and CPU b"
    gpu = table.assign(threads=float("nan"))[:1]
    assert measured_with(gpu) == "Commit a, PyTorch 2.14"
