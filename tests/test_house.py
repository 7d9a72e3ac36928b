"""Imports run one way: reproduce -> dpnet -> opticam, down the layers inside reproduce, and never in a circle."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("opticam", "dpnet", "reproduce")
LAYERS = (
    {"workspace", "published"},
    {"saliency", "parts", "tables"},
    {"experiments", "benchmarks", "studies"},
    {"claims"},
    {"report"},
    {"cli"},
    {"__main__"},
)


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(node: ast.AST, modules: set[str]) -> list[str]:
    """The project's modules that an import statement reads."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names if alias.name in modules]
    if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
        inner = [f"{node.module}.{alias.name}" for alias in node.names]
        found = [name for name in inner if name in modules]
        whole = node.module in modules and len(found) < len(inner)
        return [*found, *([node.module] if whole else [])]
    return []


def import_graph(everywhere: bool) -> dict[str, set[str]]:
    """Module -> modules it imports; without `everywhere` only when it is itself imported, not inside functions."""
    paths = {module_name(p): p for package in PACKAGES for p in (ROOT / package).rglob("*.py")}
    graph = {}
    for name, path in paths.items():
        tree = ast.parse(path.read_text(encoding="utf-8"))
        nodes = ast.walk(tree) if everywhere else tree.body
        graph[name] = {target for node in nodes for target in imported(node, set(paths))} - {name}
    return graph


def layer(module: str) -> int | None:
    parts = module.split(".")
    if parts[0] != "reproduce" or len(parts) == 1:
        return None
    return next(number for number, rooms in enumerate(LAYERS) if parts[1] in rooms)


def test_packages_import_one_way() -> None:
    for module, targets in import_graph(everywhere=True).items():
        allowed = PACKAGES[: PACKAGES.index(module.split(".")[0]) + 1]
        assert all(target.split(".")[0] in allowed for target in targets), (module, targets)


def test_reproduce_imports_down_its_layers() -> None:
    upward = [
        (module, target)
        for module, targets in import_graph(everywhere=True).items()
        for target in targets
        if layer(module) is not None and layer(target) is not None and layer(target) > layer(module)
    ]
    assert upward == []


@pytest.mark.parametrize("package", PACKAGES)
def test_no_import_runs_in_a_circle(package: str) -> None:
    graph = {name: targets for name, targets in import_graph(False).items() if name.startswith(package)}
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as circle:
        pytest.fail(" <- ".join(circle.args[1]))


@pytest.mark.parametrize("package", PACKAGES)
def test_rooms_do_not_run_in_a_circle(package: str) -> None:
    """Rooms: the folders and the modules that stand in the package itself."""
    rooms: dict[str, set[str]] = {}
    for module, targets in import_graph(everywhere=True).items():
        if module.startswith(f"{package}."):
            room = module.split(".")[1]
            inside = {target.split(".")[1] for target in targets if target.startswith(f"{package}.")}
            rooms.setdefault(room, set()).update(inside - {room})
    list(TopologicalSorter(rooms).static_order())


def test_only_scripts_and_the_entry_stand_in_reproduce_itself() -> None:
    files = {path.name for path in (ROOT / "reproduce").iterdir() if path.is_file()}
    assert files == {"__init__.py", "__main__.py", "all.sh", "environment.sh", "gpu.sh"}


def test_every_source_says_in_two_lines_what_it_computes_and_when() -> None:
    sources = [path for path in (ROOT / "csrc").rglob("*") if path.suffix in (".cpp", ".cu", ".h", ".cuh")]
    heads = {path: path.read_text(encoding="utf-8").splitlines()[:2] for path in sources}
    assert len(heads) > 40
    assert [path for path, lines in heads.items() if not all(line.startswith("// ") for line in lines)] == []


def test_both_kernels_have_the_same_files_for_the_same_role() -> None:
    roles = {"api", "backends", "cpu", "cuda", "inputs", "ops", "reference"}
    for folder in ("opticam/masking", "dpnet/similarity"):
        assert roles <= {path.stem for path in (ROOT / folder).glob("*.py")}, folder


def needs_a_gpu(condition: str) -> bool:
    """Whether tests are skipped under this condition because there is no GPU, or only one."""
    names = ("cuda.is_available", "cuda.device_count", "cuda_obstacle")
    return any(name in condition for name in names) and not condition.startswith("not cuda_obstacle")


def skipping_conditions(path: Path) -> list[str]:
    """Conditions of `skipif` marks and of branches that call `skip`."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("skipif"):
            found.append(ast.unparse(node.args[0]))
        elif isinstance(node, ast.If) and "pytest.skip(" in ast.unparse(node):
            found.append(ast.unparse(node.test))
    return found


def test_every_test_that_is_skipped_without_a_gpu_is_in_a_file_that_gpu_sh_runs() -> None:
    assert "find tests -name 'test_*_gpu.py'" in (ROOT / "reproduce/gpu.sh").read_text(encoding="utf-8")
    files = {
        path.name
        for path in (ROOT / "tests").rglob("*.py")
        if any(map(needs_a_gpu, skipping_conditions(path)))
    }
    assert len(files) > 2 and [name for name in files if not name.endswith("_gpu.py")] == []


def test_only_one_function_writes_figures() -> None:
    """The one that leaves the file that was there before where the disk is full."""
    sources = [path for package in PACKAGES for path in (ROOT / package).rglob("*.py")]
    found = [path for path in sources if ".savefig(" in path.read_text(encoding="utf-8")]
    assert [path.relative_to(ROOT).as_posix() for path in found] == ["opticam/plotting.py"]


def test_no_file_is_longer_than_300_lines() -> None:
    kinds = ("opticam/**/*.py", "dpnet/**/*.py", "reproduce/**/*.py", "csrc/**/*.*")
    lengths = {
        path: path.read_text(encoding="utf-8").count("\n") for kind in kinds for path in ROOT.glob(kind)
    }
    assert len(lengths) > 300
    assert {path.relative_to(ROOT).as_posix(): n for path, n in lengths.items() if n > 300} == {}


def test_no_file_is_shorter_than_30_lines_but_a_method_an_experiment_a_verb_or_a_backend() -> None:
    one_each = (
        "opticam/saliency/methods/",
        "reproduce/experiments/opticam/",
        "reproduce/experiments/dpnet/",
        "reproduce/cli/",
    )
    named = {
        "opticam/masking/cpu.py",
        "reproduce/saliency/baselines.py",
    }  # a backend, and the methods beside ours
    short = [
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        if not path.name.startswith("__") and len(path.read_text(encoding="utf-8").splitlines()) < 30
    ]
    assert [name for name in short if not name.startswith(one_each) and name not in named] == []
