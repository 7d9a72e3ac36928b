"""What is up to date is left alone: the digest of inputs holds what is read, and nothing that is written from it."""

import os
from dataclasses import replace

import pytest

from reproduce.report import Given, report_digest, writing
from reproduce.workspace import fingerprint
from reproduce.workspace.fingerprint import inputs_digest
from reproduce.workspace.provenance import Drawn
from reproduce.workspace.store import Row
from reproduce.workspace.workspace import PartsInput, RealInput


def test_what_is_written_beside_the_store_is_no_input(make_workspace):
    """As by default: tables, figures and their record lie in the folder of the results."""
    workspace = make_workspace()
    before = inputs_digest(workspace)
    for name in ("tables/a.csv", "limit-8/figure.png", "figure.png"):
        path = workspace.results / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("made")
    Drawn(workspace.results).record("e", "tables", before, "commit", [workspace.results / "tables" / "a.csv"])
    assert inputs_digest(workspace) == before and Drawn(workspace.results).current("e", "tables", before)
    digests = {before}
    workspace.store.write([Row("test", "saliency", "n", "m", "i", "AD", 1.0)])
    digests.add(inputs_digest(workspace))
    (workspace.results / "figures-data").mkdir()
    (workspace.results / "figures-data" / "maps.safetensors").write_text("read")
    digests.add(inputs_digest(workspace))
    assert len(digests) == 3


def test_each_input_changes_the_digest_and_nothing_else_does(make_workspace, tmp_path_factory, monkeypatch):
    code = tmp_path_factory.mktemp("program")
    for folder in fingerprint.CODE:
        (code / folder / "inner").mkdir(parents=True)
        (code / folder / "inner" / "code.py").write_text("one = 1")
    monkeypatch.setattr(fingerprint, "ROOT", code)
    workspace = make_workspace()
    workspace.store.write([Row("test", "saliency", "n", "m", "i", "AD", 1.0)])
    kept = workspace.results / "figures-data" / "maps.safetensors"
    kept.parent.mkdir()
    kept.write_text("one")
    seen = [inputs_digest(workspace)]

    def changed() -> bool:
        seen.append(inputs_digest(workspace))
        return seen[-1] not in seen[:-1]

    for row in (("i", 2.0), ("j", 1.0)):
        workspace.store.write([Row("test", "saliency", "n", "m", row[0], "AD", row[1])])
        assert changed()
    workspace.store.skip("test", "saliency", "k", "corrupt")
    assert changed()
    workspace.profile = replace(workspace.profile, limit=5)
    assert changed()
    workspace.real = RealInput(weights="other.pth")
    assert changed()
    workspace.parts_input = PartsInput(data={"fine": code})
    assert changed()
    os.utime(kept, ns=(0, 0))  # written anew, of the same size
    assert changed()
    (kept.parent / "more.safetensors").write_text("one")
    assert changed()
    for folder in fingerprint.CODE:
        (code / folder / "inner" / "code.py").write_text("one = 2")
        assert changed()
        (code / folder / "inner" / "table.csv").write_text("a,b")
        assert changed()

    workspace.parts_input = replace(workspace.parts_input, workers=3)
    workspace.store.write([Row("another", "saliency", "n", "m", "i", "AD", 3.0)])
    workspace.store.end_run(
        workspace.store.start_run(commit="c", versions={}, device="d", seed=0, arguments={})
    )
    (code / "reproduce" / "notes.md").write_text("read by nobody")
    (code / "tests").mkdir()
    (code / "tests" / "test_code.py").write_text("one = 1")
    (workspace.results / "maps").mkdir()
    (workspace.results / "maps" / "maps.safetensors").write_text("made")
    assert inputs_digest(make_workspace()) != seen[-1]  # of no limit
    assert not changed() and seen[-1] == seen[-2]


@pytest.fixture
def open_given(make_workspace, tmp_path, monkeypatch):
    """The same report, opened anew each time; committed tables and photographs lie in folders of this test."""
    monkeypatch.setattr(writing, "committed_tables", lambda profile: tmp_path / "published" / "tables")

    def open_():
        workspace = make_workspace()
        workspace.results = tmp_path / "results" / "test"
        return Given(workspace, [], tmp_path / "out", Drawn(tmp_path / "out"), "commit", str)

    return open_


@pytest.mark.parametrize(
    "name",
    [
        "published/tables/table.csv",
        "results/photographs/tables/opticam_table1.md",
        "results/photographs/photographs_net.png",
        "results/photographs/figures-data/maps-net.safetensors",
        "out/studies/one/tables/table.md",
        "out/benchmarks/masking_cpu.csv",
    ],
)
def test_a_report_is_made_of_each_file_that_it_reads(open_given, tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    (tmp_path / "results" / "photographs" / "tables").mkdir(parents=True, exist_ok=True)
    path.write_text("one")
    before = report_digest(open_given(), "")
    assert report_digest(open_given(), "") == before != report_digest(open_given(), "another")
    path.write_text("other")
    assert report_digest(open_given(), "") != before


def test_a_report_is_made_of_the_runs_and_their_times(open_given):
    store = open_given().workspace.store
    digests = [report_digest(open_given(), "")]
    run = store.start_run(commit="c", versions={}, device="d", seed=0, arguments={"profile": "test"})
    digests.append(report_digest(open_given(), ""))
    store.end_run(run)
    digests.append(report_digest(open_given(), ""))
    store.add_stage(run, "maps", 1.5)
    digests.append(report_digest(open_given(), ""))
    assert len(set(digests)) == 4
