"""Train both rows of a result table, Global and Parts, over several seeds, and keep what comes out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dpnet.data.features import FeatureCache
from dpnet.data.leakage import labels_hash
from dpnet.data.manifest import Manifest
from dpnet.model.evaluation import accuracy, interpretability, mean_bag
from dpnet.model.part_layer import PartClassifier
from dpnet.model.recipes import GlobalRecipe, PartRecipe
from dpnet.training.checkpoint import differing
from dpnet.training.loop import TrainingRecord, check_constraints, train
from dpnet.training.processes import rank
from dpnet.training.saving import CARD_NAME, ModelCard, read_card, save_model
from dpnet.training.settings import TrainingSettings
from opticam.data.files import write_text

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Run:
    """One method to train: its name, how to build it, how to train it (the seed is replaced)."""

    name: str
    recipe: PartRecipe | GlobalRecipe
    settings: TrainingSettings


def origin(recipe: PartRecipe | GlobalRecipe, features: FeatureCache) -> dict[str, Any]:
    """What a model is built of, beside labels and settings, by name: the recipe's fields, and the features' facts."""
    return asdict(recipe) | features.manifest.facts()


def check_seeds(seeds: Sequence[int]) -> None:
    """Raise ValueError for no seeds, for one that is given twice, and for one that `TrainingSettings` does not take."""
    if not seeds or len(set(seeds)) < len(seeds):
        raise ValueError(f"seeds are {', '.join(map(str, seeds))}; expected one or more, each once")
    for seed in seeds:
        TrainingSettings(seed=seed)  # which says what is out of range


def check_runs(runs: Sequence[Run], map_size: Sequence[int], num_classes: int) -> None:
    """Raise ValueError where the windows of a run do not fit feature maps of this many cells (h, w), or its constraints
    so many classes."""
    for run in runs:
        check_constraints(run.settings, num_classes)
        if isinstance(run.recipe, PartRecipe):
            run.recipe.scheme.window_sizes(*map_size)


def data_facts(manifests: tuple[Manifest, Manifest], labels: tuple[Tensor, Tensor]) -> dict[str, Any]:
    """What a card says of the features and labels of the training and the test split, by name."""
    return manifests[0].facts() | {
        "labels": labels_hash(labels[0]),
        "test_dataset_hash": manifests[1].dataset_hash,
        "test_labels": labels_hash(labels[1]),
    }


def check_folder(folder: Path, runs: Sequence[Run], data: dict[str, Any]) -> None:
    """Raise ValueError, naming what differs, where a model in ``folder`` is of other data than `data_facts` says, or of
    another recipe than the run of its name."""
    recipes = {run.name: _recipe(run) for run in runs}
    for home, card in _models(folder):
        found = card.settings | {"seed": None}
        expected = recipes.get(card.results["method"], found) | data
        different = differing(expected, found)
        if different:
            raise ValueError(
                f"output: {home} is of a run with another {', '.join(different)}: give another folder or remove it"
            )


def _recipe(run: Run) -> dict[str, Any]:
    """What a card says of a run beside its seed and data."""
    plain: dict[str, Any] = json.loads(json.dumps(run.settings.as_dict() | asdict(run.recipe)))
    return plain | {"seed": None}


def train_runs(
    runs: Sequence[Run],
    seeds: Sequence[int],
    train_features: FeatureCache,
    test_features: FeatureCache,
    card: ModelCard,
    folder: str | Path,
    *,
    device: str | torch.device = "cpu",
    grid: Tensor | None = None,
    progress: bool = False,
) -> pd.DataFrame:
    """Train every run with every seed; models, checkpoints and results.csv go into ``folder``.

    Returns one row per run and seed: train and test accuracy in percent, seconds, and the figures of
    `dpnet.model.evaluation.interpretability` on the test pictures for part models, whose grid becomes ``grid`` of
    `dpnet.data.geometry.cell_grid`. Rows of models that stand in ``folder`` are among them. An interrupted call goes on
    from its checkpoints. In a distributed group every process trains, rank 0 writes, and the others return their own
    rows. Raises ValueError where a model in ``folder`` or a checkpoint is of another recipe, settings, features or
    labels, seeds are repeated or out of range, or a run does not fit the maps or classes.
    """
    check_seeds(seeds)
    check_runs(runs, train_features.shape[-2:], len(card.class_names))
    rows, folder, labels = [], Path(folder), train_features.labels
    data = data_facts((train_features.manifest, test_features.manifest), (labels, test_features.labels))
    check_folder(folder, runs, data)
    for run in runs:
        for seed in seeds:
            home = folder / _home(run.name, seed)
            settings = run.settings.with_seed(seed)
            model = run.recipe.build(train_features, labels, len(card.class_names), seed).to(device)
            if grid is not None and isinstance(model, PartClassifier):
                model.grid.copy_(grid)
            record = train(
                model,
                train_features,
                labels,
                settings,
                checkpoint=home / "checkpoint.pt",
                origin=origin(run.recipe, train_features),
                progress=progress,
            )
            if isinstance(model, PartClassifier):
                model.mean_bag = mean_bag(model, train_features)
            row = {"method": run.name, "seed": seed, **measure(model, record, test_features)}
            rows.append(row)
            if rank() == 0:
                save_model(home, model, card.with_run(settings.as_dict() | asdict(run.recipe) | data, row))
    import pandas as pd  # here: the command line needs `Run` alone

    if rank() > 0:
        return pd.DataFrame(rows)
    rows = sorted((card.results for _, card in _models(folder)), key=lambda row: (row["method"], row["seed"]))
    table = pd.DataFrame(rows)
    write_text(folder / "results.csv", table.to_csv(index=False))
    return table


def _home(method: object, seed: object) -> str:
    return f"{method}-seed{seed}"


def _models(folder: Path) -> list[tuple[Path, ModelCard]]:
    """The models that stand in a folder under their own names, which no copy of one does."""
    homes = sorted(path.parent for path in folder.glob(f"{_home('*', '*')}/{CARD_NAME}"))
    models = [(home, read_card(home)) for home in homes]
    return [
        (home, c) for home, c in models if home.name == _home(c.results.get("method"), c.results.get("seed"))
    ]


def measure(model: nn.Module, record: TrainingRecord, test: FeatureCache) -> dict[str, float]:
    """Accuracies in percent, training seconds and, for parts, the interpretability figures on ``test``."""
    row = {
        "train_accuracy": 100 * record.accuracy,
        "test_accuracy": 100 * accuracy(model, test, test.labels),
        "seconds": record.seconds,
    }
    return row | (interpretability(model, test, test.labels) if isinstance(model, PartClassifier) else {})


def summary(results: pd.DataFrame) -> pd.DataFrame:
    """One row per method: number of seeds, mean and sample standard deviation of every figure over them."""
    import pandas as pd

    figures = results.drop(columns="seed").groupby("method", sort=False).agg(["mean", "std"])
    figures.columns = [f"{name} {statistic}" for name, statistic in figures.columns]
    counts = results.groupby("method", sort=False).size().rename("seeds")
    return pd.concat([counts, figures], axis=1).reset_index()
