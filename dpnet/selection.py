"""Choose how to train on the training pictures alone, by cross-validation; test pictures take no part."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from dpnet.evaluation import predict
from dpnet.recipes import GlobalRecipe, PartRecipe
from dpnet.regions import RegionScheme
from dpnet.runs import Run
from dpnet.settings import TrainingSettings
from dpnet.training import Features, train


class FeatureSubset:
    """The feature maps of some images of a larger set, addressed 0, 1, ... in the order of ``indices``."""

    def __init__(self, features: Features, indices: Tensor) -> None:
        self.features, self.indices = features, indices
        self.shape = (len(indices), *features.shape[1:])

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, indices: Tensor) -> Tensor:
        return self.features[self.indices[indices]]


def stratified_folds(labels: Tensor, folds: int, seed: int = 0) -> Tensor:
    """The fold, int64 in [0, folds), of each image; every class is spread evenly over the folds.

    Raises ValueError for fewer than two folds, and when a class has fewer images than there are folds.
    """
    if folds < 2:
        raise ValueError(f"folds is {folds}; cross-validation needs at least 2")
    generator = torch.Generator().manual_seed(seed)
    assigned = torch.empty_like(labels)
    for label, count in zip(*(values.tolist() for values in labels.unique(return_counts=True))):
        if count < folds:
            raise ValueError(f"folds is {folds}; class {label} has only {count} training images")
        members = torch.nonzero(labels == label).flatten()
        assigned[members[torch.randperm(count, generator=generator)]] = torch.arange(count) % folds
    return assigned


def cross_validate(
    run: Run,
    features: Features,
    labels: Tensor,
    num_classes: int,
    folds: int = 3,
    seed: int = 0,
    device: str | torch.device = "cpu",
) -> dict[str, float]:
    """Accuracy in percent and cross entropy of every training image by a model that has not seen it."""
    fold = stratified_folds(labels, folds, seed)
    logits = torch.empty(len(labels), num_classes)
    for held_out in range(folds):
        seen, unseen = (torch.nonzero(mask).flatten() for mask in (fold != held_out, fold == held_out))
        inside = FeatureSubset(features, seen)
        model = run.recipe.build(inside, labels[seen], num_classes, seed).to(device)
        train(model, inside, labels[seen], replace(run.settings, seed=seed))
        logits[unseen] = predict(model, FeatureSubset(features, unseen))
    hits = (logits.argmax(dim=1) == labels).double().mean().item()
    return {"accuracy": 100 * hits, "cross_entropy": F.cross_entropy(logits, labels).item()}


def choose(
    candidates: Sequence[Run],
    features: Features,
    labels: Tensor,
    num_classes: int,
    *,
    folds: int = 3,
    device: str | torch.device = "cpu",
    record: str | Path | None = None,
    progress: bool = False,
) -> tuple[Run, pd.DataFrame]:
    """The candidate with the best cross-validated accuracy, the lower cross entropy deciding ties.

    Returns it with the table of all candidates. ``record`` is a CSV file that receives the table row by row;
    a candidate that it holds already is not trained again. Names of candidates must differ.
    """
    path = Path(record) if record else None
    rows = pd.read_csv(path).to_dict("records") if path and path.exists() else []
    known = {row["candidate"] for row in rows}
    missing = [run for run in candidates if run.name not in known]
    for run in tqdm(missing, desc="candidates", unit="candidate", disable=not progress):
        figures = cross_validate(run, features, labels, num_classes, folds, device=device)
        rows.append({"candidate": run.name, **figures})
        if path:
            path.parent.mkdir(parents=True, exist_ok=True)
            pd.DataFrame(rows).to_csv(path, index=False)
    table = pd.DataFrame(rows).set_index("candidate").loc[[run.name for run in candidates]]
    order = table.sort_values(["accuracy", "cross_entropy"], ascending=[False, True], kind="stable")
    return next(run for run in candidates if run.name == order.index[0]), table


def global_candidates(settings: TrainingSettings) -> list[Run]:
    """The baseline with and without centring, at two learning rates."""
    return [
        Run(
            f"global {'centred' if centre else 'plain'} lr {rate:g}",
            GlobalRecipe(centre=centre),
            replace(settings, learning_rate_classifier=rate),
        )
        for centre in (False, True)
        for rate in (1e-2, 1e-1)
    ]


def part_candidates(settings: TrainingSettings, map_side: int, parts_per_class: int = 10) -> list[Run]:
    """Parts on single cells and on windows of 40 % of the map's side, centred or not, at several rates."""
    window = RegionScheme("pyramid", (max(2, round(0.4 * map_side)),))
    choices = [
        ("plain cells", RegionScheme(), False, 3e-3, 1e-1),
        ("cells", RegionScheme(), True, 1e-3, 1e-1),
        ("cells", RegionScheme(), True, 3e-3, 1e-1),
        ("windows", window, True, 1e-3, 1e-1),
        ("windows", window, True, 3e-3, 1e-1),
        ("windows", window, True, 1e-2, 3e-2),
    ]
    return [
        Run(
            f"parts {name} lr {rate:g}, V {rate_classifier:g}",
            PartRecipe(parts_per_class, scheme, centre=centre),
            replace(settings, learning_rate_parts=rate, learning_rate_classifier=rate_classifier),
        )
        for name, scheme, centre, rate, rate_classifier in choices
    ]
