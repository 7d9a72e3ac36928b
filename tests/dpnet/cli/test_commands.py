"""The four commands on six small pictures and a random SqueezeNet, and their user errors."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
import torchvision
from PIL import Image

import dpnet.training.selection
from dpnet.__main__ import build_parser, main
from dpnet.cli import options
from dpnet.cli.requests import constraint_weights, runs
from dpnet.data.manifest import DTYPES
from dpnet.model import initialisation, regions
from dpnet.model.recipes import GlobalRecipe, PartRecipe
from dpnet.similarity import BACKENDS
from dpnet.training.runs import Run
from dpnet.training.saving import load_model, save_model
from dpnet.training.settings import DEFAULT_WEIGHTS, PRECISIONS, TrainingSettings


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


def results(folder):
    """The table of a folder, without the seconds."""
    return pd.read_csv(folder / "results.csv").drop(columns="seconds")


def test_the_table_has_the_models_of_earlier_calls_with_the_same_recipe_and_data(world, capsys):
    expected, root = results(world / "runs"), world / "little_by_little"
    shutil.copytree(world / "data", root / "data")

    def train(*more):
        assert main(train_arguments(world, "--output", root, "--data", root / "data", *more)) == 0
        return results(root), capsys.readouterr().out

    train("--seeds", 1)
    train("--seeds", 0, "--no-baseline")
    shutil.copytree(root / "parts-seed0", root / "parts-seed0-copy")
    table, out = train("--seeds", 0)
    pd.testing.assert_frame_equal(table, expected, check_exact=True)
    for method, rows in expected.groupby("method"):
        accuracies = rows["test_accuracy"].to_numpy()
        mean, spread = accuracies.mean(), accuracies.std(ddof=1)
        assert f"{method:8} test {mean:.2f} +- {spread:.2f} %, 2 seeds" in out
    table, _ = train("--seeds", 0, "--no-baseline")
    pd.testing.assert_frame_equal(table, expected, check_exact=True)


def test_a_folder_is_of_one_recipe_and_data_set(world, tmp_path, capsys):
    """With other seeds, and without the baseline, too: what is there is neither dropped nor mixed with other rows."""
    data, output = tmp_path / "data", tmp_path / "runs"
    shutil.copytree(world / "data", data)
    words = ("--output", output, "--data", data, "--seeds", 0)
    assert main(train_arguments(world, *words)) == 0
    before = {path: path.read_bytes() for path in output.rglob("*") if path.is_file()}

    def refused(*more, cache="cache"):
        capsys.readouterr()
        assert main(train_arguments(world, *words, "--cache", tmp_path / cache, *more)) == 2
        assert {path: path.read_bytes() for path in output.rglob("*") if path.is_file()} == before
        return capsys.readouterr().err

    for more, name in (
        (("--initialisation", "random"), "parts-seed0 is of a run with another initialisation:"),
        (("--lr-parts", 0.5), "parts-seed0 is of a run with another learning_rate_parts:"),
        (("--epochs", 2, "--no-baseline"), "parts-seed0 is of a run with another epochs:"),
        (("--size", 80, "--no-baseline"), "global-seed0 is of a run with another image_size:"),
    ):
        assert name in refused("--seeds", 5, *more, cache="none")
    assert "another image_size" in refused("--size", 80, "--select", 2, cache="none")
    (data / "test/dark/1.png").unlink()
    assert "another test_dataset_hash, test_labels: give another folder" in refused(
        "--seeds", 5, cache="none"
    )
    assert not list((tmp_path / "none").glob("*/*"))  # before any work


def cached(root):
    """The feature files of a cache, each with the time when it was written."""
    return {path: path.stat().st_mtime_ns for path in root.glob("cache/*/*.safetensors")}


def test_a_data_folder_may_be_renamed_and_moved(world, tmp_path, capsys):
    data, output, moved = tmp_path / "birds", tmp_path / "runs", tmp_path / "far/my birds"
    shutil.copytree(world / "data", data)
    place = ("--cache", tmp_path / "cache", "--output", output, "--seeds", 0)
    assert main(train_arguments(world, *place, "--data", data)) == 0
    table, features = results(output), cached(tmp_path)
    shutil.move(data, moved)
    model = ("--model", output / "parts-seed0", "--cache", tmp_path / "cache")

    def on_moved(command, *more):
        capsys.readouterr()
        return main([str(word) for word in (command, *model, *more)]), "".join(capsys.readouterr())

    assert on_moved("evaluate")[0] == 2
    status, out = on_moved("evaluate", "--data", moved)
    assert (
        status == 0 and f"{load_model(output / 'parts-seed0')[1].results['test_accuracy']:.2f} % of 4" in out
    )
    assert on_moved("gallery", "--data", moved, "-o", tmp_path / "gallery")[0] == 0
    assert main(train_arguments(world, *place, "--data", moved)) == 0
    pd.testing.assert_frame_equal(results(output), table, check_exact=True)
    assert cached(tmp_path) == features and len(features) == 2
    for split, word in (("test", "test"), ("train", "training")):
        picture = moved / split / "dark/1.png"
        content = picture.read_bytes()
        Image.new("RGB", (9, 9)).save(picture)
        status, out = on_moved("evaluate", "--data", moved)
        assert status == 2 and f"has other {word} pictures than those of the model" in out
        picture.write_bytes(content)


def test_pictures_that_cannot_be_read_are_left_out_counted_and_end_in_a_status(world, tmp_path, capsys):
    """Everything is as where the files are not there."""
    bad = ("train/dark/0.png", "train/light/2.png", "test/light/1.png")

    def train(name, *more):
        data = tmp_path / name
        shutil.copytree(world / "data", data)
        for file in bad:
            content = (data / file).read_bytes()
            (data / file).unlink()
            if name == "damaged":
                (data / file).write_bytes(content[: len(content) // 2])
        places = (
            "--data",
            data,
            "--output",
            tmp_path / f"{name} runs",
            "--cache",
            tmp_path / f"{name} cache",
        )
        words = train_arguments(world, *places, "--seeds", 0)
        assert main(words) == (1 if name == "damaged" else 0)
        err = capsys.readouterr().err
        assert main([*words, "--allow-skips"]) == 0
        assert ("3 images were skipped" in capsys.readouterr().err) == (name == "damaged")
        return err, results(tmp_path / f"{name} runs")

    (err, table), (clean, expected) = train("damaged"), train("missing")
    assert f"3 images were skipped, for example {tmp_path}/damaged/{bad[0]} is not a readable" in err
    assert "skipped" not in clean
    pd.testing.assert_frame_equal(table, expected, check_exact=True)
    models = [load_model(tmp_path / f"{name} runs/parts-seed0")[0] for name in ("damaged", "missing")]
    assert torch.equal(models[0].parts, models[1].parts)
    model = ("--model", tmp_path / "damaged runs/parts-seed0", "--cache", tmp_path / "damaged cache")
    for command in (["evaluate"], ["gallery", "-o", tmp_path / "gallery"]):
        words = [str(word) for word in (*command, *model)]
        assert [main(words), main([*words, "--allow-skips"])] == [1, 0]
        assert "3 images were skipped" in capsys.readouterr().err


def one_class(root):
    for split in ("train", "test"):
        shutil.rmtree(root / "data" / split / "light")


@pytest.mark.parametrize(
    "words, processes, message",
    [
        (["--select", 5], 1, "folds is 5; class 0 has only 4 training images"),
        (["--select", 2], 2, "select: choose in one process"),
        (["--constraints", "balance"], 2, "balance reads the whole batch"),
        (["--constraints", "class-specific"], 1, "there is one class"),
        (["--output", "weights.pth"], 1, "weights.pth is no folder"),
        (["--output", "weights.pth/runs"], 1, "weights.pth/runs"),
    ],
)
def test_what_cannot_end_well_is_refused_before_features_are_extracted(
    world, tmp_path, capsys, monkeypatch, words, processes, message
):
    shutil.copytree(world / "data", tmp_path / "data")
    if "class-specific" in words:
        one_class(tmp_path)
    for module in ("dpnet.cli.commands", "dpnet.training.loop"):
        monkeypatch.setattr(f"{module}.world_size", lambda: processes)
    monkeypatch.chdir(world)
    places = ("--data", tmp_path / "data", "--cache", tmp_path / "cache", "--output", tmp_path / "runs")
    assert main(train_arguments(world, *places, *words)) == 2
    assert message in capsys.readouterr().err
    assert not cached(tmp_path) and not list((tmp_path / "runs").glob("*"))


def test_a_card_that_does_not_fit_its_weights_says_what_does_not_fit(world, tmp_path, capsys):
    name = edited(world, "misfit", lambda content: content["model"].update(parts_per_class=5))
    assert main(on_model(world, "evaluate", model=name)) == 2
    assert "misfit cannot be read: size mismatch for " in capsys.readouterr().err
    (world / "runs" / name / "model.json").write_bytes(b"\xff\xfe")
    assert main(on_model(world, "evaluate", model=name)) == 2
    assert "misfit cannot be read: 'utf-8' codec" in capsys.readouterr().err


def test_a_rate_that_the_baseline_does_not_read_leaves_its_checkpoints_alone(world, capsys):
    output = world / "rates"
    words = ("--output", output, "--seeds", 0)
    assert main(train_arguments(world, *words)) == 0
    trained = (output / "global-seed0/checkpoint.pt").read_bytes()
    shutil.rmtree(output / "parts-seed0")
    assert main(train_arguments(world, *words, "--lr-parts", 0.5)) == 0
    assert (output / "global-seed0/checkpoint.pt").read_bytes() == trained
    assert load_model(output / "parts-seed0")[1].settings["learning_rate_parts"] == 0.5


def test_windows_that_do_not_fit_are_refused_before_anything_is_made(world, capsys):
    places = ("--output", world / "none", "--cache", world / "none")
    assert main(train_arguments(world, *places, "--regions", "pyramid", "--sizes", "1,9")) == 2
    assert "sizes (1, 9) do not fit a feature map of 3 x 3 cells" in capsys.readouterr().err
    assert not (world / "none").exists()


@pytest.mark.parametrize("model", ["parts-seed0", "global-seed0"])
def test_evaluate_repeats_the_accuracy_of_training(world, capsys, model):
    assert main(on_model(world, "evaluate", model=model)) == 0
    printed = float(re.search(r"test accuracy +([\d.]+) %", capsys.readouterr().out)[1])
    _, card = load_model(world / "runs" / model)
    assert printed == pytest.approx(card.results["test_accuracy"], abs=0.01)


def test_explain_prints_an_account_that_adds_up_to_the_logit(world, capsys):
    photo = world / "data/test/light/0.png"
    stem = world / "figures" / "photo"
    words = on_model(world, "explain", photo, "--class", "light", "--parts", 2, "-o", stem)
    assert main(words) == 0
    out = capsys.readouterr().out
    logit = float(re.search(r"logit +(\S+)", out)[1])
    terms = [float(text) for text in re.findall(r"^ +([+-][\d.]+)  ", out, re.MULTILINE)]
    assert len(terms) == 4 and sum(terms) == pytest.approx(logit, abs=3e-4)
    assert "class        1 (light)" in out
    assert stem.with_suffix(".png").stat().st_size > 5000 and stem.with_suffix(".pdf").exists()


def explained(root, capsys, *words):
    """Of each part that `explain` prints: what it adds, its owner, its number, its box and its centred addition."""
    photo = root / "data/test/light/0.png"
    assert main(on_model(root, "explain", photo, "-o", root / "figures/photo", *words)) == 0
    line = r"([+-][\d.]+)  (\S+) #(\d), pixels \[(.*)\](?:, (\S+) against)?"
    printed = capsys.readouterr().out
    return printed, [match.groups() for match in re.finditer(line, printed)]


def test_explain_gives_boxes_in_pixels_of_the_photograph_and_what_is_particular_to_it(world, capsys):
    _, parts = explained(world, capsys, "--class", "light", "--parts", 6)
    model, card = load_model(world / "runs/parts-seed0")
    assert len(parts) == 6 and model.mean_bag.shape == (6,)
    boxes = model.boxes((3, 3), (70, 90))  # the map of 3 x 3 cells laid over the whole photograph
    for added, owner, number, box, centred in parts:
        part = 3 * card.class_names.index(owner) + int(number)
        common = model.classifier.weight[1, part] * model.mean_bag[part]
        assert float(added) - float(centred) == pytest.approx(common.item(), abs=1.01e-4)
        corners = torch.tensor([float(corner) for corner in box.split(",")])
        assert (corners - boxes).abs().amax(dim=1).min() <= 0.51
    assert max(float(part[3].split(",")[2]) for part in parts) > 64  # beyond the network's input


def edited(root, name, change):
    """A copy of a model whose card has been changed; the name to give for it."""
    shutil.copytree(root / "runs/parts-seed0", root / "runs" / name)
    card = root / "runs" / name / "model.json"
    content = json.loads(card.read_text())
    change(content)
    card.write_text(json.dumps(content))
    return name


def test_a_class_is_found_by_its_name_before_its_id(world, capsys):
    name = edited(world, "digits", lambda content: content["card"].update(class_names=["1", "0"]))
    for given, expected in (("0", "1 (0)"), ("1", "0 (1)")):
        words = on_model(world, "explain", world / "data/test/dark/0.png", "--class", given, model=name)
        assert main([*words, "-o", str(world / "figures/photo")]) == 0
        assert f"class        {expected}" in capsys.readouterr().out


def test_a_model_without_a_bias_or_of_an_older_release_is_explained(world, capsys):
    model, card = load_model(world / "runs/parts-seed0")
    model.classifier.bias = model.mean_bag = None
    save_model(world / "runs/bare", model, card)
    words = on_model(world, "explain", world / "data/test/light/0.png", model="bare")
    assert main([*words, "-o", str(world / "figures/photo")]) == 0
    out = capsys.readouterr().out
    assert "     +0.0000  bias" in out and "against" not in out


def test_a_model_is_not_read_on_data_of_other_classes(world, capsys):
    name = edited(world, "renamed", lambda content: content["card"].update(class_names=["dark", "grey"]))
    for words in (["evaluate"], ["gallery", "-o", world / "f"]):
        assert main(on_model(world, *words, model=name)) == 2
        assert "has the class 'light' where the model has 'grey'" in capsys.readouterr().err


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
        (record,) = output.glob(f"selection-{method}-*.csv")
        table = pd.read_csv(record)
        assert len(table) == count and table["accuracy"].between(0, 100).all()
        best = table.sort_values(["accuracy", "cross_entropy"], ascending=[False, True])["candidate"].iloc[0]
        assert f"{method}: {best}, " in out
    _, card = load_model(output / "parts-seed3")
    chosen = re.search(r"parts: parts .+, lr (\S+),", out)
    assert card.settings["learning_rate_parts"] == float(chosen[1])


def test_a_selection_is_kept_for_the_same_data_and_settings_alone(world, monkeypatch):
    validated = []

    def validate(run, features, labels, *given, device):
        validated.append((run.name, tuple(labels.tolist())))
        return {"accuracy": 50.0, "cross_entropy": 1.0}

    monkeypatch.setattr(dpnet.training.selection, "cross_validate", validate)
    root, data = world / "again", world / "again/data"
    shutil.copytree(world / "data", data)

    def candidates(*more):
        """How many are validated, the models trained afresh."""
        for model in root.glob("parts-*"):
            shutil.rmtree(model)
        validated.clear()
        words = (
            "--data",
            data,
            "--select",
            2,
            "--seeds",
            0,
            "--epochs",
            1,
            "--no-baseline",
            "--output",
            root,
        )
        assert main(train_arguments(world, *words, *more)) == 0
        return len(validated)

    assert [candidates(), candidates()] == [6, 0]
    assert [candidates("--weight-decay", 0.1), candidates("--temperature", 0.3)] == [6, 6]
    assert [candidates("--select", 3), candidates("--size", 80)] == [6, 6]
    (data / "train/dark/3.png").rename(data / "train/light/+.png")  # pictures and their order stay
    assert candidates() == 6 and sum(validated[0][1]) == 5
    (data / "train/light/+.png").rename(data / "train/dark/3.png")
    assert candidates() == 0


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
    for parts, pictures in ((2, 3), (99, 99)):  # or as many as there are
        assert main(on_model(world, "gallery", "--parts", parts, "--pictures", pictures, "-o", stem)) == 0
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
            lambda w: [
                "train",
                "--data",
                str(w / "data"),
                "--size=64",
                "--backbone=sample_vgg",
                "--layer=classifier",
            ],
            "expected [B,K,h,w]",
        ),
        (
            lambda w: train_arguments(w, "--backbone", "sample_vgg"),
            "the sample network sample_vgg has its own",
        ),
        (lambda w: ["train", "--data=nowhere", "--backbone=sample_vgg", "--mean=0,0,0"], "mean is (0.0"),
        (lambda w: ["train", "--data=nowhere", "--backbone=sample_vgg", "--std=1,1,1"], "std is (1.0"),
        (
            lambda w: train_arguments(w, "--seeds", "0,3,0"),
            "seeds are 0, 3, 0; expected one or more, each once",
        ),
        (lambda w: train_arguments(w, "--seeds=1,-1"), "seed is -1"),
        (lambda w: train_arguments(w, f"--seeds={2**63}"), f"seed is {2**63}"),
        (lambda w: train_arguments(w, "--regions", "pyramid"), "sizes is empty; a pyramid needs"),
        (lambda w: train_arguments(w, "--sizes", "1,2"), "only a pyramid lists sizes"),
        (lambda w: train_arguments(w, "--layer", "features.99"), "has no layer 'features.99'"),
        (lambda w: train_arguments(w, "--regions", "pyramid", "--sizes", "9"), "do not fit a feature map"),
        (lambda w: train_arguments(w, "--epochs", "5"), "another epochs"),
        (lambda w: train_arguments(w, "--initialisation", "random"), "run with another initialisation"),
        (lambda w: train_arguments(w, "--no-centre"), "run with another centre"),
        (lambda w: train_arguments(w, "--size", "80"), "run with another image_size"),
        (lambda w: train_arguments(w, "--layer", "features.11"), "run with another layer"),
        (lambda w: train_arguments(w, "--label-smoothing", "2"), "label_smoothing is 2"),
        (lambda w: train_arguments(w, "--temperature", "nan"), "temperature is nan"),
        (lambda w: train_arguments(w, "--constraints", "balance=inf"), "balance is inf"),
        (lambda w: train_arguments(w, "--select", "1"), "select is 1"),
        (lambda w: train_arguments(w, "--select", "3", "--regions", "cells"), "regions: --select chooses it"),
        (lambda w: train_arguments(w, "--select", "3", "--lr-classifier", "1"), "lr-classifier: --select"),
        (lambda w: train_arguments(w, "--select", "3", "--no-centre"), "centre: --select"),
        (lambda w: on_model(w, "evaluate", model="x"), "python -m dpnet train"),
        (lambda w: on_model(w, "explain", w / "no.jpg", "-o", w / "f"), "there is no file"),
        (lambda w: on_model(w, "explain", w / "weights.pth", "-o", w / "f"), "not a readable picture"),
        (
            lambda w: on_model(w, "explain", w / "data/test/light/0.png", "--class", "grey", "-o", w / "f"),
            "'grey' is no class of this model",
        ),
        (lambda w: on_model(w, "gallery", "-o", w / "f", model="global-seed0"), "which has no parts"),
    ],
)
def test_user_errors_are_one_line_and_a_status(world, capsys, arguments, message):
    assert main(arguments(world)) == 2
    err = [line for line in capsys.readouterr().err.splitlines() if line.startswith("dpnet ")]
    assert len(err) == 1 and message in err[0]


@pytest.mark.parametrize(
    "command, given, message",
    [
        ("explain", ["--parts=-1"], "--parts: expected a whole number of at least 1, got '-1'"),
        ("gallery", ["--parts=0"], "--parts: expected a whole number of at least 1, got '0'"),
        ("gallery", ["--pictures=x"], "--pictures: expected a whole number of at least 1, got 'x'"),
        ("train", ["--workers=-1"], "--workers: expected a whole number of at least 0, got '-1'"),
        ("train", ["--feature-dtype", "float64"], "--feature-dtype: invalid choice: 'float64'"),
        ("evaluate", ["--device", "foo"], "--device: there is no device 'foo' here"),
        ("train", ["--device", "cuda:99"], "--device: there is no device 'cuda:99' here"),
    ],
)
def test_options_that_cannot_be_carried_out_are_refused_as_they_are_read(capsys, command, given, message):
    with pytest.raises(SystemExit) as end:
        main([command, *given])
    assert end.value.code == 2 and message in capsys.readouterr().err


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
    assert tuple(PRECISIONS) == options.PRECISIONS
    assert tuple(DTYPES) == options.FEATURE_DTYPES


def test_the_defaults_that_the_help_states_are_those_of_what_is_left_out():
    """Each default, read from its help and given on the command line, changes no run."""
    words = ["train", "--data", "sample:fine", "--backbone", "sample_vgg"]
    train = build_parser(words)._subparsers._group_actions[0].choices["train"]
    groups = [group for group in train._action_groups if group.title in ("part layer", "training")]
    left_out = [action for group in groups for action in group._group_actions if action.default is None]
    stated = {action.option_strings[0]: re.search(r"default: (\S+)$", action.help) for action in left_out}
    unstated = {name for name, found in stated.items() if found is None}
    assert unstated == {"--sizes", "--centre", "--classifier-initialisation", "--select"}
    plain = runs(build_parser(words).parse_args(words))
    for name in stated.keys() - unstated:
        assert runs(build_parser(words).parse_args([*words, f"{name}={stated[name][1]}"])) == plain, name


def test_options_that_are_left_out_are_the_defaults_of_what_they_stand_for():
    words = ["train", "--data", "sample:fine", "--backbone", "sample_vgg"]
    found = runs(build_parser(words).parse_args(words))
    assert found == [
        Run("global", GlobalRecipe(), TrainingSettings()),
        Run("parts", PartRecipe(), TrainingSettings()),
    ]
    baseline, parts = runs(
        build_parser(words).parse_args([*words, "--lr-parts=0.5", "--constraints=balance"])
    )
    assert baseline == found[0]  # which reads neither
    assert parts.settings.learning_rate_parts == 0.5 and parts.settings.constraints.balance > 0
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
