"""Runs of `dpnet train` in the tables: each where its card says, or nothing at all."""

from pathlib import Path

import pytest

from dpnet import ConstraintWeights, PartClassifier, TrainingSettings
from dpnet.data.sources import BackboneSource, DataSource
from dpnet.training.saving import ModelCard, save_model
from reproduce.experiments.dpnet.main import MainTable
from reproduce.parts.entered_runs import enter_runs
from reproduce.parts.models import EXPERIMENT
from reproduce.workspace.workspace import PartsInput


def save(
    folder: Path, method: str, seed: int, accuracy: float, backbone: str = "tiny", **weights: float
) -> None:
    """A run as `dpnet.training.runs.train_runs` leaves it."""
    settings = TrainingSettings(seed=seed, constraints=ConstraintWeights(**weights))
    results = {
        "method": method,
        "seed": seed,
        "test_accuracy": accuracy,
        "train_accuracy": 99.0,
        "seconds": 2.0,
    }
    card = ModelCard(BackboneSource(backbone), DataSource("x"), ("a", "b"), settings.as_dict(), results)
    save_model(folder / f"{method}-seed{seed}", PartClassifier(3, 2, 2), card)


@pytest.fixture
def entering(make_parts_workspace, tmp_path):
    folder = tmp_path / "runs"
    folder.mkdir()
    workspace = make_parts_workspace()
    workspace.parts_input = PartsInput(runs={"fine": folder})
    return workspace, folder


def test_runs_stand_in_the_tables_under_method_backbone_and_seed(entering):
    workspace, folder = entering
    for seed in (0, 1):
        save(folder, "global", seed, 70.0 + seed)
        save(folder, "parts", seed, 75.0 + 3 * seed)
    save(folder / "..", "other", 0, 1.0)
    assert enter_runs(workspace) == 4 == enter_runs(workspace)
    cells = MainTable().tables(workspace)["dpnet_main"].cells
    own = cells[cells["measured"].notna()].set_index("method")["measured"]
    assert own.to_dict() == {
        "Global": 70.5,
        "Parts": 76.5,
        "Parts - Global": 6.0,
    }  # means of 70, 71; 75, 78; 5, 7
    assert "runs of dpnet train" in MainTable().tables(workspace)["dpnet_main"].caption


def test_constraints_are_told_from_their_weights(entering):
    workspace, folder = entering
    save(folder, "parts", 0, 80.0, orthogonality=3.0, assignment=0.1)
    enter_runs(workspace)
    rows = workspace.store.frame("test", EXPERIMENT)
    assert set(rows["method"]) == {"Parts [perp+assign]"} and set(rows["image"]) == {"fine/seed 0"}
    assert set(rows["metric"]) == {"accuracy", "seconds"}


@pytest.mark.parametrize(
    "change, error, message",
    [
        ({"backbone": "resnet50"}, ValueError, "give --parts-backbone resnet50"),
        ({"balance": 0.1}, ValueError, "constraints that no table has: balance"),
        ({"seed": 0}, ValueError, "are the same method and seed"),
        (None, FileNotFoundError, "holds no run"),
    ],
)
def test_what_has_no_place_is_named_and_nothing_is_stored(entering, change, error, message):
    workspace, folder = entering
    if change is not None:
        save(folder, "parts", 0, 80.0)
        save(folder, "parts2", **{"seed": 1, "accuracy": 80.0, **change})
    with pytest.raises(error, match=message):
        enter_runs(workspace)
    assert not len(workspace.store.frame("test", EXPERIMENT))


def test_runs_that_are_gone_leave_the_tables(entering):
    workspace, folder = entering
    for seed in (0, 1):
        save(folder, "parts", seed, 75.0)
    enter_runs(workspace)
    (folder / "parts-seed1").rename(folder.parent / "elsewhere")
    assert enter_runs(workspace) == 1
    assert set(workspace.store.frame("test", EXPERIMENT)["image"]) == {"fine/seed 0"}


def test_seeds_of_one_line_are_of_one_recipe(entering):
    workspace, folder = entering
    save(folder, "parts", 0, 80.0, orthogonality=3.0)
    save(folder, "global", 1, 80.0)
    save(folder, "parts", 1, 80.0, orthogonality=10.0)
    with pytest.raises(ValueError, match=r"parts-seed1 and .*parts-seed0 differ in constraints"):
        enter_runs(workspace)
    assert not len(workspace.store.frame("test", EXPERIMENT))
