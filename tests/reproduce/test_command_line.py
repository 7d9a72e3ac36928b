"""User errors end in one clear line and exit status 2, before any work starts."""

import pytest

from reproduce.__main__ import main
from reproduce.profile import load_profile, profile_names
from reproduce.published_numbers import published


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--profile", "imagnet"], "profile: expected one of imagenet, sample, got 'imagnet'"),
        (["run", "--only", "table9"], "only: no experiment ['table9']"),
        (["run", "--profile", "imagenet"], "needs --images and --labels"),
        (["run", "--profile", "imagenet", "--images", "nowhere"], "images: there is no nowhere"),
        (["run", "--images", "."], "images: the profile 'sample' has its own"),
        (["run", "--weights", "pyproject.toml"], "weights: say with --network"),
        (["run", "--profile", "imagenet", "--only", "dpnet-main"], "has no dpnet-main"),
    ],
)
def test_user_error_is_one_line(arguments, message, capsys, tmp_path):
    assert main([*arguments, "--results", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_empty_folder_is_a_user_error(capsys, tmp_path):
    labels = tmp_path / "labels.csv"
    labels.write_text("file,label\na.JPEG,3\n")
    empty = tmp_path / "empty"
    empty.mkdir()
    arguments = ["run", "--profile", "imagenet", "--images", str(empty), "--labels", str(labels)]
    assert main([*arguments, "--results", str(tmp_path / "results")]) == 2
    assert "images" in capsys.readouterr().err


def test_limit_must_be_positive():
    with pytest.raises(SystemExit) as error:
        main(["run", "--limit", "0"])
    assert error.value.code == 2


def test_list_names_every_experiment(capsys):
    assert main(["list", "--profile", "imagenet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    marks = {
        line[2:].split()[0]: line[0] for line in lines if line[2:].strip() and not line.startswith("- :")
    }
    assert marks["opticam-main"] == " "
    assert marks["dpnet-main"] == "-"


@pytest.mark.parametrize("name", profile_names())
def test_profiles_stand_beside_published_networks(name):
    profile = load_profile(name)
    tables = [published("opticam_table1"), published("opticam_table2")]
    known = {network for table in tables for network in table["network"]}
    assert set(profile.saliency.networks.values()) <= known
    if profile.parts:
        assert set(profile.parts.datasets.values()) == set(published("dpnet_main")["dataset"])
        assert set(profile.parts.backbones.values()) == set(published("dpnet_main")["network"])
