"""The examples of README and docs run, and their commands and paths exist."""

import re
import shlex
import warnings
from pathlib import Path

import pytest
import torch

import dpnet.__main__ as dpnet_main
import opticam.__main__ as opticam_main
import reproduce.__main__ as reproduce_main

ROOT = Path(__file__).parents[3]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
TEXT = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", TEXT, re.M | re.S)
PYTHON = [code for language, code in BLOCKS if language == "python"]
COMMANDS = [
    line.split("#")[0].strip()
    for language, code in BLOCKS
    if language == "bash"
    for line in code.splitlines()
    if "-m " in line
]
PARSERS = {
    "opticam": opticam_main.build_parser().parse_args,
    "dpnet": dpnet_main.build_parser().parse_args,
    "reproduce": reproduce_main._parse,
}


def test_the_researcher_s_example_runs():
    (example,) = (code for code in PYTHON if "OptiCAM" in code)
    small = example.replace('weights="DEFAULT"', "weights=None").replace("224, 224", "64, 64")
    small = small.replace("resnet50", "resnet18").replace("layer4.2", "layer4.1").replace("=20", "=2")
    assert small != example
    defined = {}
    exec(small, defined)
    assert defined["maps"].shape == (2, 64, 64)
    assert set(defined["scores"]) == {"AD", "AG", "AI"}


def test_the_kernel_author_s_example_runs_and_leaves_gradients():
    (example,) = (code for code in PYTHON if "part_similarity" in code)
    defined = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(example, defined)
    assert defined["logits_u"].grad.abs().max() > 0 and defined["parts"].grad.abs().max() > 0
    similarity = torch.nn.functional.normalize(defined["parts"]) @ defined["regions"].transpose(1, 2)
    torch.testing.assert_close(defined["scores"], similarity.amax(2), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_accepted(command):
    words = shlex.split(command)
    module, arguments = words[words.index("-m") + 1], words[words.index("-m") + 2 :]
    assert PARSERS[module](arguments).command == arguments[0]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_are_there(page):
    text = page.read_text(encoding="utf-8")
    linked = [page.parent / name for name in re.findall(r"\]\(([^)#]+)\)", text)]
    named = [ROOT / name for name in re.findall(r"`(\w+/[\w/]+\.(?:sh|py|csv))`", text)]
    assert linked
    assert [str(path) for path in linked + named if not path.exists()] == []


def test_the_readme_is_short():
    assert len(PAGES[0].read_text(encoding="utf-8").splitlines()) <= 150
