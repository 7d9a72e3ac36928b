"""Train both rows of a result table, Global and Parts, over several seeds, and keep what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dpnet.data.features import FeatureCache
from dpnet.data.leakage import labels_hash
from dpnet.model.evaluation import accuracy, interpretability, mean_bag
from dpnet.model.part_layer import PartClassifier
from dpnet.model.recipes import GlobalRecipe, PartRecipe
from dpnet.training.loop import TrainingRecord, train
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


def check_regions(runs: Sequence[Run], map_size: Sequence[int]) -> None:
    """Raise ValueError where the windows of a run do not fit feature maps of this many cells (h, w)."""
    for run in runs:
        if isinstance(run.recipe, PartRecipe):
            run.recipe.scheme.window_sizes(*map_size)


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
    `dpnet.data.geometry.cell_grid`. Rows of models that stand in ``folder`` are among them, of the same data and
    recipe. An interrupted call goes on from its checkpoints. In a distributed group every process trains, rank 0
    writes, and the others return their own rows. Raises ValueError where a checkpoint is of another recipe, settings,
    features or labels, seeds are repeated or out of range, or windows do not fit the maps.
    """
    check_seeds(seeds)
    check_regions(runs, train_features.shape[-2:])
    rows, folder, labels = [], Path(folder), train_features.labels
    data = train_features.manifest.facts() | {
        "labels": labels_hash(labels),
        "test_dataset_hash": test_features.manifest.dataset_hash,
        "test_labels": labels_hash(test_features.labels),
    }
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
    table = pd.DataFrame(_kept_rows(folder, data))
    write_text(folder / "results.csv", table.to_csv(index=False))
    return table


def _home(method: object, seed: object) -> str:
    return f"{method}-seed{seed}"


def _kept_rows(folder: Path, data: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Results of the models in a folder, by method and seed: on these data, and of each method those of the recipe
    that was trained last."""
    cards = sorted(folder.glob(f"{_home('*', '*')}/{CARD_NAME}"), key=lambda path: path.stat().st_mtime_ns)
    models = [(path.parent.name, read_card(path.parent)) for path in cards]
    kept = [
        (card.results, card.settings | {"seed": None})
        for name, card in models
        if name == _home(card.results.get("method"), card.results.get("seed"))  # no copy of another one
        and all(card.settings.get(fact) == value for fact, value in data.items())
    ]
    last = {results["method"]: recipe for results, recipe in kept}
    rows = [results for results, recipe in kept if recipe == last[results["method"]]]
    return sorted(rows, key=lambda row: (row["method"], row["seed"]))


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
