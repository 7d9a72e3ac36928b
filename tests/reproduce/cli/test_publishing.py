"""The committed figures are written only when asked for, from a clean checkout and results of one origin."""

import subprocess

import pandas as pd
import pytest

from reproduce.__main__ import _parse, main
from reproduce.cli import publishing
from reproduce.cli.opening import output_folder, workspace
from reproduce.workspace.environment import commit
from reproduce.workspace.paths import PUBLISHABLE, PUBLISHED


def git(folder, *arguments):
    author = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    return subprocess.run(
        ["git", *author, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A git repository with one commit in place of the project's."""
    git(tmp_path, "init", "-q")
    git(tmp_path, "commit", "-q", "--allow-empty", "-m", "m")
    monkeypatch.setattr(publishing, "ROOT", tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("option", "name"),
    [
        (["--limit", "8"], "--limit"),
        (["--only", "opticam-main"], "--only"),
        (["--count", "LIME=2"], "--count"),
        (["--batch-size", "2"], "--batch-size"),
        (["--output", "x"], "--output"),
        (["--network", "resnet18"], "--network"),
        (["--results", "x"], "options whose results lie in x"),
    ],
)
def test_a_part_of_a_run_is_not_published(option, name, checkout, capsys):
    assert main(["run", "--publish", *option]) == 2
    assert f"not {name}" in capsys.readouterr().err


@pytest.mark.parametrize("profile", list(PUBLISHABLE))
@pytest.mark.parametrize(
    "option",
    [
        ["--mean", "0,0,0", "--std", "1,1,1"],
        ["--resize", "squash224"],
        ["--optimize", "exact"],
    ],
    ids=lambda option: option[0],
)
def test_what_changes_numbers_is_not_published_and_what_does_not_is(profile, option, checkout):
    """One rule: their results lie apart from the profile's own."""

    def check(*words):
        options = _parse(["run", "--publish", "--profile", profile, *words])
        publishing.check_publishable(options, workspace(options))

    check("--quiet", "--processes", "2", "--force", "--pixel-range", "255")
    with pytest.raises(ValueError, match=f"takes the whole profile as it is, not .*results/{profile}-"):
        check(*option)


def test_a_profile_without_a_published_run_has_none(checkout, capsys):
    assert main(["run", "--publish", "--profile", "folders"]) == 2
    assert "takes the profile sample or photographs, not folders" in capsys.readouterr().err


def test_a_changed_checkout_is_not_published(checkout, capsys):
    (checkout / "new.py").write_text("pass\n")
    assert main(["run", "--publish"]) == 2
    assert "differs from its commit: ?? new.py" in capsys.readouterr().err


def runs(**changed):
    first = {"commit": commit(), "device": "cpu", "versions": {"torch": "2"}}
    return pd.DataFrame([first, {**first, **changed}])


def test_results_of_one_origin_are_published_and_others_are_not():
    assert publishing.check_one_origin(runs()) == {
        "commit": commit(),
        "device": "cpu",
        "versions": {"torch": "2"},
    }
    for changed in ({"commit": "0"}, {"device": "gpu"}, {"versions": {"torch": "3"}}):
        with pytest.raises(ValueError, match="one commit"):
            publishing.check_one_origin(runs(**changed))
    with pytest.raises(ValueError, match="not none"):
        publishing.check_one_origin(runs()[:0])
    with pytest.raises(ValueError, match="one commit"):
        publishing.check_one_origin(runs(commit="0")[1:])


@pytest.mark.parametrize(
    ("file", "accepted"),
    [
        ("figures/studies/new.csv", True),
        ("docs/page.md", True),
        ("README.md", True),
        ("tests/test_new.py", True),
        ("opticam/new.py", False),
        ("reproduce/profiles/sample.toml", False),
        ("requirements.lock", False),
    ],
)
def test_results_outlive_commits_of_studies_texts_and_tests(file, accepted, checkout, monkeypatch):
    def head():
        return git(checkout, "rev-parse", "--short=12", "HEAD").stdout.strip()

    monkeypatch.setattr(publishing, "commit", head)
    of_one_run = runs(commit=head())[1:]
    (checkout / file).parent.mkdir(parents=True, exist_ok=True)
    (checkout / file).write_text("new\n")
    git(checkout, "add", file)
    git(checkout, "commit", "-q", "-m", "later")
    if accepted:
        assert publishing.check_one_origin(of_one_run)["commit"] == of_one_run["commit"].iloc[0] != head()
    else:
        with pytest.raises(ValueError, match="one commit"):
            publishing.check_one_origin(of_one_run)


def test_a_publication_replaces_its_own_files_only(tmp_path):
    for name in ("old.png", "tables/old.csv", "benchmarks/kept.csv", "report.html"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    publishing.clear_published({"commit": "0"}, tmp_path)
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {"benchmarks/kept.csv", "published.json"}


@pytest.mark.parametrize(
    "arguments", [[], ["--limit", "8"], ["--profile", "imagenet"], ["--optimize", "half"]]
)
def test_a_run_writes_beside_its_results(arguments):
    options = _parse(["run", *arguments])
    given = workspace(options)
    folder = output_folder(options, given)
    assert given.results in (folder, *folder.parents)
    assert PUBLISHED not in (folder, *folder.parents)
