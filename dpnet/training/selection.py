"""Choose how to train on the training pictures alone, by cross-validation; test pictures take no part."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor
from tqdm.auto import tqdm

from dpnet.data.blocks import Features, block_size
from dpnet.model.evaluation import predict, prepare
from dpnet.training.loop import train
from dpnet.training.runs import Run
from dpnet.training.settings import ConstraintWeights
from opticam.data.files import write_text

# Tried from the largest down by `choose_weights`.
WEIGHT_GRIDS = {
    "orthogonality": (100.0, 30.0, 10.0, 3.0, 1.0),
    "assignment": (0.3, 0.1, 0.03, 0.01, 0.003),
    "class_specificity": (10.0, 3.0, 1.0, 0.3, 0.1),
}
FIGURES = ("accuracy", "cross_entropy")
"""Of each candidate, in a record."""


class FeatureSubset:
    """The feature maps of some images of a larger set, addressed 0, 1, ... in the order of ``indices``."""

    def __init__(self, features: Features, indices: Tensor) -> None:
        self.features, self.indices = features, indices
        self.shape = (len(indices), *features.shape[1:])
        self.block_size = block_size(features)

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
    # Not scikit-learn's StratifiedKFold: its folds are not those that the committed selections were made on.
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
        made = prepare(model, inside, dtype=run.settings.dtype)
        train(model, made, labels[seen], replace(run.settings, seed=seed))
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
    validate = _Validation(features, labels, num_classes, folds, device, record)
    bar = tqdm(candidates, desc="candidates", unit="candidate", disable=not progress)
    return _best(candidates, pd.DataFrame({run.name: validate(run) for run in bar}).T)


def recorded_choice(candidates: Sequence[Run], record: str | Path) -> tuple[Run, pd.DataFrame]:
    """What `choose` has found, read from its record alone.

    Raises NotOnRecord where a candidate is missing.
    """
    known = _Record(record)
    return _best(candidates, pd.DataFrame({run.name: known(run) for run in candidates}).T)


def _best(candidates: Sequence[Run], table: pd.DataFrame) -> tuple[Run, pd.DataFrame]:
    order = table.sort_values(["accuracy", "cross_entropy"], ascending=[False, True], kind="stable")
    return next(run for run in candidates if run.name == order.index[0]), table


def choose_weights(
    run: Run,
    features: Features,
    labels: Tensor,
    num_classes: int,
    *,
    tolerance: float,
    folds: int = 3,
    device: str | torch.device = "cpu",
    record: str | Path | None = None,
) -> ConstraintWeights:
    """For each constraint alone, the largest weight that costs at most ``tolerance`` points of accuracy.

    The accuracy is the cross-validated one, compared with that of ``run`` without constraints. Weights are
    tried from the largest down; where none is cheap enough the smallest is taken. ``record`` as in `choose`.
    """
    return _largest(_Validation(features, labels, num_classes, folds, device, record), run, tolerance)


def recorded_weights(
    run: Run,
    record: str | Path,
    *,
    tolerance: float,
) -> ConstraintWeights:
    """What `choose_weights` has found, read from its record alone.

    Raises NotOnRecord where a weight that decides is missing.
    """
    return _largest(_Record(record), run, tolerance)


def _largest(
    validate: Callable[[Run], dict[str, float]],
    run: Run,
    tolerance: float,
) -> ConstraintWeights:
    run = replace(run, settings=run.settings.with_constraints(ConstraintWeights()))
    least = validate(run)["accuracy"] - tolerance
    chosen: dict[str, Any] = {}
    for constraint, weights in WEIGHT_GRIDS.items():
        for weight in sorted(weights, reverse=True):
            alone: dict[str, Any] = {constraint: weight}
            settings = run.settings.with_constraints(ConstraintWeights(**alone))
            constrained = Run(f"{run.name}, {constraint} {weight:g}", run.recipe, settings)
            chosen[constraint] = weight
            if validate(constrained)["accuracy"] >= least:
                break
    return ConstraintWeights(**chosen)


class NotOnRecord(LookupError):
    """A selection was read of which a candidate has not been cross-validated."""


class _Record:
    """Reads a run's figures from a record."""

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.table = _read_record(self.path)

    def __call__(self, run: Run) -> dict[str, float]:
        if run.name not in self.table:
            raise NotOnRecord(f"{self.path} has no candidate {run.name!r}")
        return self.table[run.name]


def _read_record(path: Path) -> dict[str, dict[str, float]]:
    """Figures by candidate; none where there is no file. Raises ValueError for an empty or cut one, naming it."""
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    try:
        table = pd.read_csv(io.StringIO(text), index_col="candidate")[list(FIGURES)].astype(float)
    except (ValueError, KeyError):  # no header, or another one
        table = pd.DataFrame()
    if table.empty or not text.endswith("\n"):
        raise ValueError(
            f"record: {path} is empty or cut short; remove it to have its candidates tried again"
        )
    return {str(name): dict(zip(FIGURES, row)) for name, row in zip(table.index, table.to_numpy().tolist())}


class _Validation:
    """Cross-validates a run, or reads its figures from the record, where every new row is added at once."""

    def __init__(
        self,
        features: Features,
        labels: Tensor,
        num_classes: int,
        folds: int,
        device: str | torch.device,
        record: str | Path | None,
    ) -> None:
        self.given = features, labels, num_classes, folds
        self.device = device
        self.path = Path(record) if record else None
        self.table = _read_record(self.path) if self.path else {}

    def __call__(self, run: Run) -> dict[str, float]:
        if run.name not in self.table:
            self.table[run.name] = cross_validate(run, *self.given, device=self.device)
            if self.path:
                write_text(self.path, pd.DataFrame(self.table).T.to_csv(index_label="candidate"))
        return self.table[run.name]
