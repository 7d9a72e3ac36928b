"""What is up to date is left alone: the digest of inputs holds what is read, and nothing that is written from it."""

import pytest

from reproduce.report import Given, report_digest, writing
from reproduce.workspace.fingerprint import inputs_digest
from reproduce.workspace.provenance import Drawn
from reproduce.workspace.store import Row


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
    run = store.start_run(commit="c", versions={}, device="d", seed=0, arguments={})
    digests.append(report_digest(open_given(), ""))
    store.end_run(run)
    digests.append(report_digest(open_given(), ""))
    store.add_stage(run, "maps", 1.5)
    digests.append(report_digest(open_given(), ""))
    assert len(set(digests)) == 4
