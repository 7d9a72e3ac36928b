"""User errors end in one clear line and exit status 2, before any work starts; every option says what it is."""

import pytest
import torch
from PIL import Image
from torchvision.models import squeezenet1_1

import dpnet.__main__ as dpnet_main
import opticam.__main__ as opticam_main
from reproduce.__main__ import _parse, _parser, main
from reproduce.cli.opening import workspace
from reproduce.experiments import EXPERIMENTS
from reproduce.published.numbers import published
from reproduce.workspace.profile import load_profile, profile_names


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["run", "--profile", "imagnet"],
            "profile: expected one of folders, imagenet, photographs, sample, got 'imagnet'",
        ),
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


def test_a_count_may_leave_a_method_out_but_not_be_negative(tmp_path):
    run = ["run", "--results", str(tmp_path)]
    given = workspace(_parse([*run, "--count", "opticam-robustness/LIME=0", "--count", "LIME=3"]))
    assert given.profile.image_count("opticam-robustness/LIME", "LIME") == 0
    assert given.profile.image_count("LIME") == 3
    with pytest.raises(SystemExit):
        _parse(["run", "--count", "LIME=-1"])


def test_list_names_every_experiment(capsys):
    assert main(["list", "--profile", "imagenet"]) == 0
    lines = capsys.readouterr().out.splitlines()
    marks = {
        line[2:].split()[0]: line[0] for line in lines if line[2:].strip() and not line.startswith("- :")
    }
    assert marks["opticam-main"] == " "
    assert marks["dpnet-main"] == "-"


@pytest.mark.parametrize(
    "words",
    [
        ["list", "--only", "opticam-main"],
        ["list", "--count", "LIME=3"],
        ["report", "--only", "opticam-main"],
        ["select-parts", "--only", "dpnet-main"],
        ["select-parts", "--count", "LIME=3"],
        *([name, "--force"] for name in ("list", "plan", "compare", "check")),
        *(
            [name, "--allow-skips"]
            for name in ("list", "tables", "report", "claims", "check", "select-parts")
        ),
    ],
    ids=" ".join,
)
def test_what_would_not_read_an_option_does_not_take_it(words, tmp_path, capsys):
    with pytest.raises(SystemExit) as error:
        main([*words, "--results", str(tmp_path / "results")])
    assert error.value.code == 2 and f"unrecognized arguments: {words[1]}" in capsys.readouterr().err
    assert not (tmp_path / "results").exists()


PARSERS = {
    "opticam": opticam_main.build_parser(),
    "dpnet": dpnet_main.build_parser(),
    "reproduce": _parser(["prepare", "train-sample"]),  # whose options are read where they are asked for
}
OPTIONS = {
    f"{package} {command} {'/'.join(action.option_strings) or action.dest}": action.help
    for package, parser in PARSERS.items()
    for command, subparser in parser._subparsers._group_actions[0].choices.items()
    for action in subparser._actions
}
"""Each option of each subcommand, and its help."""


def test_every_option_says_what_it_is():
    assert len(OPTIONS) > 100 and [name for name, text in OPTIONS.items() if not text] == []


def test_every_option_that_takes_any_network_says_so():
    texts = [text for name, text in OPTIONS.items() if name.endswith("--network")]
    assert len(texts) > 10 and all("package.module:function" in text for text in texts)


@pytest.mark.parametrize("name", profile_names())
def test_profiles_stand_beside_published_networks(name):
    profile = load_profile(name)
    tables = [published("opticam_table1"), published("opticam_table2")]
    known = {network for table in tables for network in table["network"]}
    assert profile.saliency is None or set(profile.saliency.networks.values()) <= known
    if profile.parts:
        assert set(profile.parts.datasets.values()) == set(published("dpnet_main")["dataset"])
        assert set(profile.parts.backbones.values()) == set(published("dpnet_main")["network"])


@pytest.mark.parametrize(
    ("level", "note"),
    [("half", "networks in bfloat16"), ("exact", "networks as they are built"), ("fast", "")],
)
def test_optimize_reaches_the_network_the_table_and_the_store(level, note, tmp_path):
    """A level's results are its own: other networks run, other maps are kept, and the caption says so."""
    torch.manual_seed(0)
    weights = tmp_path / "weights.pth"
    torch.save(squeezenet1_1().state_dict(), weights)
    (tmp_path / "labels.csv").write_text("file,label\na.png,3\nb.png,5\n")
    for name in ("a.png", "b.png"):
        Image.fromarray(torch.randint(255, (260, 260, 3), dtype=torch.uint8).numpy()).save(tmp_path / name)
    arguments = ["run", "--profile", "imagenet", "--images", tmp_path, "--labels", tmp_path / "labels.csv"]
    arguments += ["--network", "squeezenet1_1", "--weights", weights, "--optimize", level]
    given = workspace(_parse([str(argument) for argument in arguments]))
    classifier = given.classifier("squeezenet1_1")
    classifier(torch.rand(1, 3, 64, 64))
    assert classifier.in_effect.level == level
    assert given.classifier("squeezenet1_1", normalised=False).optimize == level
    assert given.results.name.endswith("-half") == (level == "half")
    caption = EXPERIMENTS["opticam-causal"].table_of(given, None, "Table").caption
    assert caption == (f"Table; {note}" if note else "Table")


def test_a_benchmarks_options_are_left_to_it():
    options = _parse(["benchmark", "similarity", "--compile", "--shapes", "CUB VGG 14x14"])
    assert options.names == ["similarity"] and not options.compile_report
    assert options.rest == ["--compile", "--shapes", "CUB VGG 14x14"]
    assert _parse(["benchmark", "--compile-report"]).compile_report


def test_help_after_the_name_of_a_benchmark_is_that_benchmark_s(capfd):
    assert main(["benchmark", "localization", "--help"]) == 0
    told = capfd.readouterr().out
    assert "--maps" in told and "--compile-report" not in told
    with pytest.raises(SystemExit) as ended:
        main(["benchmark", "--help"])
    told = capfd.readouterr().out
    assert ended.value.code == 0 and "--compile-report" in told and "--maps" not in told


def test_without_a_name_the_benchmarks_are_listed(capsys):
    assert main(["benchmark"]) == 2
    error = capsys.readouterr().err
    assert all(name in error for name in ("masking", "similarity", "localization"))
