"""Verbs that read: on an empty store they say "not run", compute nothing and leave the store as it is."""

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

import dpnet.training.selection
from reproduce.__main__ import main
from reproduce.cli import check_everything, commands, compare
from reproduce.parts import models
from reproduce.saliency import evaluation

VERBS = {"tables": 0, "figures": 0, "report": 0, "claims": 0, "check": 3, "compare": 3}
"""Each with its exit status."""


@pytest.fixture
def given(make_workspace, make_parts_workspace, monkeypatch, tmp_path):
    """An empty store of a profile for both papers, in which nothing can be computed."""
    workspace = make_workspace()
    parts = make_parts_workspace().profile.parts
    workspace.profile = workspace.profile.__class__("test", "test", workspace.profile.saliency, parts)
    workspace.cache = tmp_path / "cache"
    for module in (commands, check_everything, compare):
        monkeypatch.setattr(module, "workspace", lambda options: workspace)
    for module, name in (
        (evaluation, "_measure"),
        (models, "train"),
        (models, "extract"),
        (models, "try_candidates"),
        (dpnet.training.selection, "cross_validate"),
    ):
        monkeypatch.setattr(module, name, lambda *given, **options: pytest.fail("it computes"))
    return workspace


def contents(store: Path) -> list[str]:
    with sqlite3.connect(store) as connection:
        return list(connection.iterdump())


@pytest.mark.parametrize("verb", VERBS)
def test_an_empty_store_is_read_and_left_as_it_is(given, tmp_path, capsys, verb):
    assert given.store.methods("test", "saliency", "tiny") == []
    before = contents(given.results / "results.sqlite")
    place = ["--results", str(given.results), "--output", str(tmp_path / "out")]
    extra = [str(tmp_path / "tables")] if verb == "compare" else []
    (tmp_path / "tables").mkdir()
    assert main([verb, *extra, *place]) == VERBS[verb]
    assert contents(given.results / "results.sqlite") == before
    assert not list((tmp_path / "cache").rglob("*.safetensors"))
    printed = capsys.readouterr().out
    if verb in ("claims", "check"):
        assert "not run" in printed
    if verb == "figures":
        assert "nothing to draw" in printed and "up to date" not in printed
    if verb == "report":
        assert "not run" in (tmp_path / "out" / "REPORT.md").read_text(encoding="utf-8")


def test_a_first_look_that_the_published_run_cannot_be_held_against_is_told_what_can(
    given, tmp_path, capsys, monkeypatch
):
    given.profile = replace(given.profile, limit=2)
    monkeypatch.setattr(compare, "committed_tables", lambda profile: tmp_path)
    words = ["--limit", "2", "--results", str(given.results)]
    assert main(["compare", *words]) == 3
    line = f"python -m reproduce compare FOLDER --limit 2 --results {given.results}"
    assert capsys.readouterr().out.endswith(f"give those of another first look: {line}\n")
    assert main(["compare", str(tmp_path), *words]) == 3
    assert "FOLDER" not in capsys.readouterr().out
