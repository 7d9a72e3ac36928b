"""DP-Net on folders of pictures: what the options say, what they refuse, and a whole table from small pictures."""

import json
import shutil
from functools import partial

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from reproduce.__main__ import _parse, main
from reproduce.cli import opening
from reproduce.cli.opening import workspace
from reproduce.cli.options import command_line
from reproduce.parts import committed_selection
from reproduce.parts.data import layer_features
from reproduce.workspace.workspace import Workspace

NETWORK = """
import torch
from torch import nn

def build():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 16, 32), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Dark and light pictures, train/CLASS and test/CLASS; one training picture is a test picture, too."""
    folder, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 3)):
        for shift, name in enumerate(("dark", "light")):
            (folder / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(110 * shift, 110 * shift + 140, (40, 50, 3), np.uint8)
                Image.fromarray(pixels).save(folder / split / name / f"{index}.png")
    shutil.copy(folder / "test/dark/0.png", folder / "train/dark/shared.png")
    return folder


def parsed(*words):
    return _parse(["run", "--profile", "folders", *map(str, words)])


def test_the_data_sets_and_backbones_given_are_those_that_run(pictures, tmp_path):
    file = tmp_path / "weights.pth"
    file.touch()
    words = ["--parts-data", f"scenes={pictures}", "--parts-backbone", f"mobilenet_v2={file}"]
    words += ["--parts-backbone", "resnet50", "--parts-layer", "resnet50=layer3"]
    words += ["--parts-layer", "resnet50=layer4", "--workers", 2, "--memory", "1.5G", "--parts-size", 448]
    given = workspace(parsed(*words))
    parts, found = given.parts, given.parts_input
    assert parts.datasets == {"scenes": "MIT-67"} and parts.constraint_datasets == ("scenes",)
    assert parts.backbones == {"mobilenet_v2": "vgg16", "resnet50": "resnet50"}
    assert parts.constraint_backbone == "mobilenet_v2" and parts.layers["resnet50"] == ("layer3", "layer4")
    assert (found.data, found.weights) == ({"scenes": pictures}, {"mobilenet_v2": file})
    assert (found.workers, found.memory) == (2, 3 * 2**29)
    assert given.results.name != workspace(parsed()).results.name and "448px" in given.results.name
    assert (parts.picture_size, workspace(parsed()).parts.picture_size) == (448, 224)
    line = command_line(parsed(*words), "tables").split()
    again = workspace(_parse(line[3:]))
    assert (again.parts, again.parts_input) == (parts, found)


@pytest.mark.parametrize(
    "words, message",
    [
        (["--parts-data", "cats=."], "parts-data: expected one of scenes, birds, imagenet, got 'cats'"),
        (["--parts-data", "birds=nowhere"], "parts-data: there is no nowhere"),
        (["--parts-data", "birds"], "parts-data: there is no folder after birds="),
        (["--only", "dpnet-main"], "parts-data: the profile 'folders' needs --parts-data scenes=DIR"),
        (["--parts-data", "birds=.", "--parts-backbone", "resnet50=no.pth"], "parts-backbone: there is no no.pth"),
        (["--parts-data", "birds=.", "--parts-layer", "vgg=1"], "parts-layer: expected one of mobilenet_v2"),
        (["--profile", "sample", "--parts-data", "birds=."], "parts-data: the profile 'sample' has its own"),
        (["--parts-runs", "birds=."], "parts-runs: "),
        (["--memory", "much"], "expected bytes such as 500M or 2G, got 'much'"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_in_a_line_before_work_starts(words, message, tmp_path, capsys):
    results = tmp_path / "results"
    try:
        status = main(["run", "--profile", "folders", "--results", str(results), *words])
    except SystemExit as usage:
        status = usage.code
    assert status == 2 and message in capsys.readouterr().err
    assert not list(results.glob("selection/*"))


def words_for(pictures, tmp_path, monkeypatch, layer="1"):
    (tmp_path / "own_nets.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(opening, "Workspace", partial(Workspace, cache=tmp_path / "cache"))
    words = ["run", "--profile", "folders", "--only", "dpnet-main", "--limit", "1", "--quiet"]
    words += ["--parts-data", f"birds={pictures}", "--parts-backbone", "own_nets:build"]
    return [*words, "--parts-layer", f"own_nets:build={layer}", "--results", str(tmp_path / "results")]


def test_a_folder_and_a_users_function_fill_the_main_table(pictures, tmp_path, monkeypatch):
    assert main(words_for(pictures, tmp_path, monkeypatch)) == 0
    table = pd.read_csv(tmp_path / "results/limit-1/tables/dpnet_main.csv")
    own = table[table["measured"].notna()].set_index("method")
    assert set(own["network"]) == {"own_nets:build"} and set(own["dataset"]) == {"Birds"}
    assert own.loc["Global", "measured"] == 100 and own.loc["Parts", "measured"] > 60
    (features,) = (tmp_path / "cache/features").glob("birds-train-*")
    assert '"num_images": 12' in (features / "manifest.json").read_text()  # without the shared picture


def test_a_corrected_label_is_read_and_all_that_followed_from_it_is_made_anew(
    pictures, tmp_path, monkeypatch
):
    """The picture keeps its place among all pictures, so the maps stay."""
    folder = tmp_path / "corrected"
    shutil.copytree(pictures, folder)
    (folder / "train/dark/shared.png").unlink()
    words = words_for(folder, tmp_path, monkeypatch)
    place = "birds", "own_nets:build", "1", "train"

    def light_and_definitions():
        assert main(words) == 0
        given = workspace(_parse(words))
        stored = given.store.frame("folders", given.of_models("parts"), metric="definition")["value"]
        return int(layer_features(given, *place)[1].sum()), set(stored)

    light, before = light_and_definitions()
    (folder / "train/dark/5.png").rename(folder / "train/light/-0.png")
    light_then, after = light_and_definitions()
    assert (light, light_then) == (6, 7) and before and not before & after
    assert len(list((tmp_path / "cache/features").glob("birds-train-*"))) == 1
    assert len(list((tmp_path / "results/selection").glob("*-Global-*.csv"))) == 2


def test_pictures_of_another_size_have_maps_and_choices_of_their_own(pictures, tmp_path, monkeypatch):
    words = words_for(pictures, tmp_path, monkeypatch)
    assert main(words) == main([*words, "--parts-size", "320"]) == 0
    facts = [
        json.loads(file.read_text()) for file in (tmp_path / "cache/features").glob("*-train-*/manifest.json")
    ]
    assert sorted(fact["image_size"] for fact in facts) == [[224, 224], [320, 320]]
    assert len(list((tmp_path / "results/selection").glob("*-Global-*.csv"))) == 2


def test_a_broken_picture_and_a_layer_without_a_map_end_the_run_before_training(
    pictures, tmp_path, monkeypatch, capsys
):
    broken = tmp_path / "broken"
    shutil.copytree(pictures, broken)
    (broken / "train/light/3.png").write_bytes((pictures / "train/light/3.png").read_bytes()[:500])
    for folder, layer, message in ((broken, "1", "light/3.png"), (pictures, "4", "its output has shape")):
        assert main(words_for(folder, tmp_path, monkeypatch, layer)) == 2
        assert message in capsys.readouterr().err and not list(tmp_path.glob("results/selection/*"))


def test_a_selection_that_fails_takes_nothing_from_the_project_s(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(committed_selection, "PROFILES", tmp_path)
    kept = committed_selection.selection_file("folders")
    kept.parent.mkdir()
    kept.write_text("record,candidate,accuracy,cross_entropy\nbirds-net-0,a,90,1\n")
    (tmp_path / "empty").mkdir()
    words = ["--parts-data", f"birds={tmp_path / 'empty'}", "--results", str(tmp_path / "results")]
    assert main(["select-parts", "--profile", "folders", "--force", *words]) == 2
    assert "empty" in capsys.readouterr().err
    assert kept.read_text().endswith("birds-net-0,a,90,1\n")
