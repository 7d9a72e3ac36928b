"""Train both rows of a result table, Global and Parts, over several seeds, and keep what comes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from dpnet.data.features import FeatureCache
from dpnet.model.evaluation import accuracy, interpretability, mean_bag
from dpnet.model.part_layer import PartClassifier
from dpnet.model.recipes import GlobalRecipe, PartRecipe
from dpnet.training.loop import TrainingRecord, train
from dpnet.training.processes import rank
from dpnet.training.saving import ModelCard, save_model
from dpnet.training.settings import TrainingSettings

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
    `dpnet.data.geometry.cell_grid`. An interrupted call goes on from its checkpoints. In a distributed group every
    process trains and rank 0 writes. Raises ValueError where a checkpoint is of another recipe, settings, features or
    labels.
    """
    rows = []
    for run in runs:
        for seed in seeds:
            home = Path(folder) / f"{run.name}-seed{seed}"
            settings = run.settings.with_seed(seed)
            labels = train_features.labels
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
                save_model(home, model, card.with_run(settings.as_dict(), row))
    import pandas as pd  # here: the command line needs `Run` alone

    table = pd.DataFrame(rows)
    if rank() == 0:
        table.to_csv(Path(folder) / "results.csv", index=False)
    return table


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
