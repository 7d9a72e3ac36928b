"""The examples of README and docs run, and their commands and paths exist."""

import importlib
import re
import shlex
import warnings
from pathlib import Path

import pytest
import torch
from PIL import Image
from tolerances import assert_close

import dpnet.__main__ as dpnet_main
import opticam.__main__ as opticam_main
import reproduce.__main__ as reproduce_main
from opticam.data.photographs import sample_photograph
from reproduce.claims.summary import KINDS, counts
from reproduce.claims.writing import read_claims
from reproduce.tables.metric_names import printed
from reproduce.workspace import workspace
from reproduce.workspace.paths import PUBLISHED

ROOT = Path(__file__).parents[3]
DOCS = [*sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "docs/guides").glob("*.md"))]
REFERENCE = sorted((ROOT / "docs/reference").rglob("*.md"))
PAGES = [ROOT / "README.md", *DOCS]
OUTSIDE = ("pytest",)
"""Modules that the pages run beside the project's own."""

FROM_THE_ROOT = ("index.md", "contributing.md", "changelog.md")
PUBLIC = ("opticam", "opticam.saliency", "opticam.masking", "opticam.metrics", "dpnet", "dpnet.similarity")


def blocks(page, language):
    """The code of a page in one language, in order."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S)


PYTHON = blocks(PAGES[0], "python")
LINES = [
    line.split("#")[0].strip()
    for page in PAGES
    for code in blocks(page, "bash")
    for line in code.splitlines()
]
COMMANDS = sorted({line for line in LINES if re.search(r" -m (opticam|dpnet|reproduce) ", line)})
MODULES = sorted({name for line in LINES for name in re.findall(r" -m ([\w.]+)", line)})
PARSERS = {
    "opticam": opticam_main.build_parser().parse_args,
    "dpnet": dpnet_main.build_parser().parse_args,
    "reproduce": reproduce_main._parse,
}


PYTHON_OF_THE_PROJECT = ".venv/bin/python -m "
MAINS = {"opticam": opticam_main.main, "dpnet": dpnet_main.main, "reproduce": reproduce_main.main}
DATA = "needs pictures that the reader has"
BENCHMARK = "takes hours and wants an idle machine; tests/reproduce/benchmarks has its parts"
NOT_RUN = {
    "bash reproduce/all.sh": "half an hour; .ci/run has it with --limit 2",
    "bash reproduce/all.sh --limit 8": "seven minutes; .ci/run has it with --limit 2",
    "bash tests/all.sh": "these are the tests",
    "bash tests/matrix.sh --quick": "minutes; .ci/run has it",
    "pip install --no-build-isolation .": "compiles; tests/test_packaging.py builds and installs a wheel",
    ".venv/bin/python setup.py build_ext --inplace": "compiles; all.sh and tests/all.sh begin with it",
    ".venv/bin/python -m pytest tests/opticam/masking tests/dpnet/similarity": "these are among the tests",
    ".venv/bin/python -m reproduce benchmark --compile-report": "minutes, and needs CUDA's compiler",
    ".venv/bin/python -m reproduce benchmark masking": BENCHMARK,
    ".venv/bin/python -m reproduce benchmark similarity": BENCHMARK,
    ".venv/bin/python -m reproduce run --only opticam-main": "minutes; test_runs.py has it on a tiny network",
    ".venv/bin/python -m reproduce run --only opticam-main --force": "minutes, as without --force",
    ".venv/bin/python -m reproduce prepare imagenet --val val/ --devkit ILSVRC2012_devkit_t12/ --boxes boxes/"
    " --output prepared/": DATA,
    ".venv/bin/python -m reproduce run --profile imagenet --images val/ --labels prepared/labels.csv"
    " --boxes prepared/boxes.csv": DATA,
    ".venv/bin/python -m reproduce run --profile folders --parts-data birds=birds/ --parts-data scenes=scenes/": DATA,
    ".venv/bin/python -m reproduce plan --profile imagenet": "a minute of measurements; test_plan.py has it shorter",
    ".venv/bin/python -m reproduce check fake-cam-boxes --boxes DIR": DATA,
    ".venv/bin/python -m opticam explain sample:chelsea --network efficientnet_lite0 -o explained.png": (
        "100 steps take half a minute; the guide's line with --method grad-cam is run"
    ),
    ".venv/bin/python -m dpnet train --data birds/ --backbone resnet50 --parts-per-class 10"
    " --constraints orthogonal,assignment": DATA,
}
"""Commands of the pages that are too expensive to be run here, each with what stands for it."""

STATUS = {"compare": 3, "check": 3}
"""Exit statuses of commands that have nothing to judge in an empty store; of all others it is 0."""


def runnable():
    """The other commands, each once, training before what reads a model."""
    lines = dict.fromkeys(line for line in LINES if line and line not in NOT_RUN)
    return sorted(lines, key=lambda line: " train " not in line)


def test_every_command_is_run_or_it_is_said_why_not():
    assert set(NOT_RUN) <= set(LINES)
    assert [line for line in runnable() if not line.startswith(PYTHON_OF_THE_PROJECT)] == []


def test_commands_run_as_they_are_printed(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(workspace, "RESULTS", tmp_path / "results")
    Image.open(sample_photograph("coffee")).convert("RGB").save("photo.jpg")
    for line in runnable():
        module, *words = shlex.split(line.removeprefix(PYTHON_OF_THE_PROJECT))
        status = MAINS[module](words)
        assert status == STATUS.get(words[0], 0), (line, capsys.readouterr().err)
        printed_lines = capsys.readouterr().out.splitlines()
        assert printed_lines, line
        for name in (word.split()[-1] for word in printed_lines if word.startswith("written ")):
            assert (tmp_path / name).is_file(), line


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
    assert_close(defined["scores"], similarity.amax(2), defined["parts"].shape[1])


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_are_accepted(command):
    words = shlex.split(command)
    module, arguments = words[words.index("-m") + 1], words[words.index("-m") + 2 :]
    assert PARSERS[module](arguments).command == arguments[0]


def test_other_modules_that_are_run_are_there():
    others = [name for name in MODULES if name not in (*PARSERS, *OUTSIDE)]
    assert [name for name in others if not (ROOT / f"{name.replace('.', '/')}.py").is_file()] == []


@pytest.mark.parametrize(
    "page", [page for page in DOCS if blocks(page, "python")], ids=lambda page: page.name
)
def test_the_code_of_a_page_runs_from_its_beginning_to_its_end(page, capsys):
    torch.manual_seed(0)
    defined = {}
    for code in blocks(page, "python"):
        exec(code, defined)


def test_every_page_is_on_the_site():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("nav:")[2]
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (*DOCS, *REFERENCE)]
    assert sorted(re.findall(r"(\S+\.md)$", navigation, re.M)) == sorted([*pages, *FROM_THE_ROOT])


def explained(directive):
    """The identities of what a directive of the reference shows: a class, or what a module defines or exports."""
    try:
        module = importlib.import_module(directive)
    except ModuleNotFoundError:
        module, _, name = directive.rpartition(".")
        return {id(getattr(importlib.import_module(module), name))}
    exported = getattr(module, "__all__", None)
    if exported is not None:
        return {id(getattr(module, name)) for name in exported}
    return {
        id(value) for value in vars(module).values() if getattr(value, "__module__", directive) == directive
    }


def test_every_public_name_is_in_the_reference():
    text = "\n".join(page.read_text(encoding="utf-8") for page in REFERENCE)
    shown = set().union(*map(explained, re.findall(r"^::: (\S+)$", text, re.M)))
    packages = map(importlib.import_module, PUBLIC)
    public = [(package, name) for package in packages for name in package.__all__]
    assert [name for package, name in public if id(getattr(package, name)) not in shown] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_are_there(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    linked = [page.parent / name for name in re.findall(r"\]\(([^)#]+)\)", text)]
    named = [ROOT / name for name in re.findall(r"`((?!results/)\w+/[\w/]+\.(?:sh|py|csv))`", text)]
    assert linked
    assert [str(path) for path in linked + named if not path.exists()] == []


def test_the_readme_is_short():
    assert len(PAGES[0].read_text(encoding="utf-8").splitlines()) <= 150


def test_the_counts_of_claims_are_those_of_the_published_run():
    readme = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    claims = read_claims(PUBLISHED)
    for kind in ("ordering", "assertion"):
        for paper, group in counts(claims, kind).groupby("paper"):
            (line,) = (text for text in readme if text.startswith(f"| {paper}, {KINDS[kind]}"))
            expected = {row.state: (row.plain, row.adjusted) for row in group.itertuples()}
            states = ("contradicts", "agrees", "inconclusive", "not run")
            for text, state in zip(line.strip("| ").split(" | ")[1:], states):
                plain, *adjusted = map(int, re.findall(r"\d+", text))
                assert (plain, *adjusted) == expected[state][: 1 + len(adjusted)], (line, state)


def test_the_six_cells_of_dp_net_are_those_of_the_published_run():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    claims = read_claims(PUBLISHED)
    cells = claims[(claims["kind"] == "ordering") & (claims["place"] == "dpnet_main")]
    assert len(cells) == 6
    for cell in cells.to_dict("records"):
        numbers = [printed(cell[name], 1) for name in ("published", "measured", "low", "high")]
        assert "{} / {} [{}, {}] ".format(*numbers) + cell["verdict"] in text
