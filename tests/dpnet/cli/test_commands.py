"""The four commands on six small pictures and a random SqueezeNet, and their user errors."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from PIL import Image

from dpnet.__main__ import build_parser, main
from dpnet.cli import options
from dpnet.cli.requests import constraint_weights, runs
from dpnet.model import initialisation, regions
from dpnet.model.recipes import GlobalRecipe, PartRecipe
from dpnet.similarity import BACKENDS
from dpnet.training.runs import Run
from dpnet.training.saving import load_model
from dpnet.training.settings import DEFAULT_WEIGHTS, PRECISIONS, TrainingSettings
from opticam.data.photo import RESIZES


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with data/, weights.pth and trained models in runs/."""
    root = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(0)
    for split, count in (("train", 4), ("test", 2)):
        for shift, name in enumerate(("dark", "light")):
            for index in range(count):
                path = root / "data" / split / name / f"{index}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(120 * shift, 120 * shift + 130, (70, 90, 3), np.uint8)).save(
                    path
                )
    torch.manual_seed(0)
    torch.save(torchvision.models.squeezenet1_1(num_classes=7).state_dict(), root / "weights.pth")
    assert main(train_arguments(root)) == 0
    return root


def train_arguments(root, *more):
    arguments = [
        "train",
        "--data",
        root / "data",
        "--backbone",
        "squeezenet1_1",
        "--weights",
        root / "weights.pth",
    ]
    arguments += ["--size", 64, "--parts-per-class", 3, "--constraints", "orthogonal,assignment=0.2"]
    arguments += [
        "--epochs",
        3,
        "--seeds",
        "0,1",
        "--output",
        root / "runs",
        "--cache",
        root / "cache",
        *more,
    ]
    return [str(argument) for argument in arguments]


def on_model(root, command, *more, model="parts-seed0"):
    arguments = [command, "--model", root / "runs" / model, "--cache", root / "cache", *more]
    return [str(argument) for argument in arguments]


def test_train_leaves_models_and_a_table(world):
    table = pd.read_csv(world / "runs" / "results.csv")
    assert table[["method", "seed"]].values.tolist() == [
        ["global", 0],
        ["global", 1],
        ["parts", 0],
        ["parts", 1],
    ]
    assert table["test_accuracy"].between(0, 100).all()
    assert table[table["method"] == "parts"]["rms_cosine"].between(0, 1).all()
    model, card = load_model(world / "runs" / "parts-seed1")
    assert model.parts.shape == (6, 512) and card.class_names == ("dark", "light")
    assert card.settings["constraints"]["assignment"] == 0.2
    assert card.settings["constraints"]["orthogonality"] == DEFAULT_WEIGHTS["orthogonality"]


def test_a_second_call_does_nothing_twice(world, capsys):
    before = {path: path.stat().st_mtime_ns for path in world.rglob("*.safetensors") if "cache" in str(path)}
    checkpoint = world / "runs" / "parts-seed0" / "checkpoint.pt"
    trained = checkpoint.stat().st_mtime_ns
    assert main(train_arguments(world)) == 0
    assert {path: path.stat().st_mtime_ns for path in before} == before and len(before) == 2
    assert checkpoint.stat().st_mtime_ns == trained
    assert "parts    test" in capsys.readouterr().out


@pytest.mark.parametrize("model", ["parts-seed0", "global-seed0"])
def test_evaluate_repeats_the_accuracy_of_training(world, capsys, model):
    assert main(on_model(world, "evaluate", model=model)) == 0
    printed = float(re.search(r"test accuracy +([\d.]+) %", capsys.readouterr().out)[1])
    _, card = load_model(world / "runs" / model)
    assert printed == pytest.approx(card.results["test_accuracy"], abs=0.01)


def test_explain_prints_an_account_that_adds_up_to_the_logit(world, capsys):
    photo = world / "data/test/light/0.png"
    stem = world / "figures" / "photo"
    assert main(on_model(world, "explain", photo, "--class", "light", "--parts", 2, "-o", stem)) == 0
    out = capsys.readouterr().out
    logit = float(re.search(r"logit +(\S+)", out)[1])
    terms = [float(text) for text in re.findall(r"^ +([+-][\d.]+)  ", out, re.MULTILINE)]
    assert len(terms) == 4 and sum(terms) == pytest.approx(logit, abs=3e-4)
    assert "class        1 (light)" in out
    assert stem.with_suffix(".png").stat().st_size > 5000 and stem.with_suffix(".pdf").exists()


def test_a_model_of_sample_pictures_explains_a_photo_at_their_size(world, capsys):
    """Without --size, and with another one: drawn pictures have 64 pixels, and the network takes nothing else."""
    run, cache = world / "sample", world / "cache"
    options = f"--data sample:fine --backbone sample_vgg --parts-per-class 2 --epochs 1 --output {run} --cache {cache}"
    assert main(["train", *options.split()]) == 0
    model, photo = run / "parts-seed0", world / "data/test/light/0.png"
    assert load_model(model)[1].data.size == 64
    card = model / "model.json"
    card.write_text(card.read_text().replace('"size": 64', '"size": 224'))  # as older models say
    words = ["explain", str(photo), "--model", str(model), "--cache", str(cache), "-o", str(run / "photo")]
    assert main(words) == 0
    assert "probability" in capsys.readouterr().out and (run / "photo.png").is_file()


def test_select_chooses_on_the_training_pictures_and_says_what(world, capsys):
    output = world / "selected"
    assert main(train_arguments(world, "--select", 2, "--seeds", 3, "--epochs", 1, "--output", output)) == 0
    out = capsys.readouterr().out
    for method, count in (("global", 6), ("parts", 6)):
        table = pd.read_csv(output / f"selection-{method}.csv")
        assert len(table) == count and table["accuracy"].between(0, 100).all()
        best = table.sort_values(["accuracy", "cross_entropy"], ascending=[False, True])["candidate"].iloc[0]
        assert f"{method}: {best}, " in out
    _, card = load_model(output / "parts-seed3")
    chosen = re.search(r"parts: parts .+, lr (\S+),", out)
    assert card.settings["learning_rate_parts"] == float(chosen[1])


def test_a_users_function_is_trained_on_and_read_only_where_the_user_names_it(world, capsys, monkeypatch):
    """A model's folder may come from anybody: what it names is not run."""
    (world / "own_models.py").write_text(
        "from torchvision.models import squeezenet1_1\ndef build(): return squeezenet1_1(num_classes=7)\n"
    )
    monkeypatch.syspath_prepend(world)
    output = world / "own"
    named = ("--backbone", "own_models:build", "--layer", "features.5")
    assert main(train_arguments(world, *named, "--epochs", 1, "--seeds", 0, "--output", output)) == 0
    model, card = load_model(output / "parts-seed0", "own_models:build")
    assert card.backbone.target_layer == "features.5" and model.parts.shape == (6, 128)
    capsys.readouterr()
    given = on_model(world, "evaluate", model=output / "parts-seed0")
    assert main([*given, "--network", "own_models:build"]) == 0
    assert f"{card.results['test_accuracy']:.2f} %" in capsys.readouterr().out
    for more in ([], ["--network", "other:build"]):
        assert main([*given, *more]) == 2
        assert "runs the function own_models:build" in capsys.readouterr().err


def test_gallery_writes_a_figure(world, capsys):
    stem = world / "figures" / "gallery"
    assert main(on_model(world, "gallery", "--parts", 2, "--pictures", 3, "-o", stem)) == 0
    assert capsys.readouterr().out.count("written") == 2 and stem.with_suffix(".pdf").exists()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (lambda w: train_arguments(w, "--data", "nowhere"), "there is no folder nowhere"),
        (lambda w: train_arguments(w, "--weights", "none.pth"), "there is no file none.pth"),
        (lambda w: train_arguments(w, "--backbone", "resnet18"), "does not fit ResNet"),
        (lambda w: train_arguments(w, "--backbone", "resnet5000"), "no classifier called 'resnet5000'"),
        (lambda w: train_arguments(w, "--constraints", "sparse"), "'sparse' is unknown"),
        (
            lambda w: train_arguments(w, "--constraints", "orthogonal=much"),
            "'much' of orthogonal is no number",
        ),
        (lambda w: train_arguments(w, "--backbone", "nothing:here"), "nothing:here cannot be found"),
        (
            lambda w: train_arguments(w, "--backbone", "sample_vgg", "--layer", "classifier"),
            "expected [B,K,h,w]",
        ),
        (lambda w: train_arguments(w, "--layer", "features.99"), "has no layer 'features.99'"),
        (lambda w: train_arguments(w, "--regions", "pyramid", "--sizes", "9"), "do not fit a feature map"),
        (lambda w: train_arguments(w, "--epochs", "5"), "another epochs"),
        (lambda w: on_model(w, "evaluate", model="x"), "python -m dpnet train"),
        (lambda w: on_model(w, "explain", w / "no.jpg", "-o", w / "f"), "there is no file"),
        (lambda w: on_model(w, "explain", w / "weights.pth", "-o", w / "f"), "not a readable picture"),
        (
            lambda w: on_model(w, "explain", w / "data/test/light/0.png", "--class", "grey", "-o", w / "f"),
            "'grey' is no class of this model",
        ),
        (lambda w: on_model(w, "gallery", "-o", w / "f", model="global-seed0"), "which has no parts"),
        (lambda w: on_model(w, "gallery", "--pictures", 99, "-o", w / "f"), "k is 99"),
    ],
)
def test_user_errors_are_one_line_and_a_status(world, capsys, arguments, message):
    assert main(arguments(world)) == 2
    err = [line for line in capsys.readouterr().err.splitlines() if line.startswith("dpnet ")]
    assert len(err) == 1 and message in err[0]


def test_weights_of_constraints():
    weights = constraint_weights("orthogonal=3,class-specific")
    assert weights.orthogonality == 3.0 and weights.assignment == 0.0
    assert weights.class_specificity == DEFAULT_WEIGHTS["class_specificity"]
    assert constraint_weights("").orthogonality == 0.0


def test_info_has_a_line_for_every_backend(capsys):
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [re.match(r"part_similarity, (\w+): (yes|no)", line)[1] for line in lines] == list(BACKENDS)
    assert all("(" in line for line in lines if ": no" in line)  # it says why not


def test_the_names_that_options_offer_are_those_that_the_modules_accept():
    assert options.SCHEMES == regions.SCHEMES and options.NORMS == regions.NORMS
    assert options.PART_METHODS == initialisation.PART_METHODS
    assert tuple(initialisation.CLASSIFIER_METHODS) == options.CLASSIFIER_METHODS
    assert tuple(PRECISIONS) == options.PRECISIONS and options.RESIZES == RESIZES


def test_options_that_are_left_out_are_the_defaults_of_what_they_stand_for():
    words = ["train", "--data", "sample:fine", "--backbone", "sample_vgg"]
    found = runs(build_parser(words).parse_args(words))
    assert found == [
        Run("global", GlobalRecipe(), TrainingSettings()),
        Run("parts", PartRecipe(), TrainingSettings()),
    ]
    more = [
        *words,
        "--epochs",
        "7",
        "--x-norm",
        "none",
        "--no-centre",
        "--regions",
        "squares",
        "--no-baseline",
    ]
    (given,) = runs(build_parser(more).parse_args(more))
    assert given.settings == TrainingSettings(epochs=7)
    assert given.recipe == PartRecipe(scheme=regions.RegionScheme("squares", x_norm="none"), centre=False)
