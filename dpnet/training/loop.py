"""Train a part layer, or its global baseline, on frozen features."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm.auto import tqdm

from dpnet.data.blocks import Features, block_size, read_batches, shuffled_blocks
from dpnet.data.leakage import labels_hash
from dpnet.model.evaluation import accuracy
from dpnet.model.part_layer import Model, model_arguments
from dpnet.training.checkpoint import load_checkpoint, save_checkpoint
from dpnet.training.diagnostics import early_diagnostics
from dpnet.training.losses import batch_loss
from dpnet.training.processes import mean_over_processes, rank, world_size
from dpnet.training.settings import SEEDS, TrainingSettings


@dataclass
class TrainingRecord:
    """What a run leaves besides the weights; accuracies in [0,1], seconds over all epochs.

    ``history`` has an entry for each epoch: the means of all loss terms, its seconds, and, where
    `dpnet.training.diagnostics` looked, the problems that it saw.
    """

    settings: TrainingSettings
    history: list[dict[str, Any]] = field(default_factory=list)
    accuracy: float = math.nan
    seconds: float = 0.0

    @property
    def problems(self) -> list[str]:
        """Signs that the run will not work; an interrupted one keeps them."""
        return [problem for entry in self.history for problem in entry.get("problems", ())]


@torch.enable_grad()
def train(
    model: Model,
    features: Features,
    labels: Tensor,
    settings: TrainingSettings,
    *,
    checkpoint: str | Path | None = None,
    origin: Mapping[str, Any] | None = None,
    progress: bool = False,
) -> TrainingRecord:
    """Train ``model`` in place on feature maps [N,d,h,w] and class labels int64 [N].

    The order of the images depends on the seed and the epoch only, so a run resumed from ``checkpoint``
    (written after every epoch, read when it exists) ends with the same weights. Inside an initialised
    `torch.distributed` group every process takes its share of each batch and gradients are averaged by
    DistributedDataParallel. ``origin`` says what else the run depends on, name by name in plain values, for the
    checkpoint to keep: recipe and features, which `train_runs` gives, are compared by it alone.
    Raises ValueError for labels that do not match, and, naming what differs, for a checkpoint of a run with other
    settings, labels, model arguments or ``origin``, as `check_constraints` does otherwise.
    """
    _check(model, features, labels, settings)
    if settings.dtype == torch.float64:
        model.double()
    optimiser = build_optimiser(model, settings)
    record = TrainingRecord(settings)
    checkpoint = Path(checkpoint) if checkpoint else None
    run = {**settings.as_dict(), **model_arguments(model), "labels": labels_hash(labels), **(origin or {})}
    if checkpoint and checkpoint.exists():
        record.history = load_checkpoint(checkpoint, model, optimiser, run)
    forward = _distributed(model)
    epochs = range(len(record.history), settings.epochs)
    for epoch in tqdm(epochs, desc="training", unit="epoch", disable=not progress or rank() > 0):
        entry = train_epoch(model, forward, optimiser, features, labels, settings, epoch)
        record.history.append(entry)
        if epoch + 1 == settings.diagnose_after:
            entry["problems"] = _diagnose(model, features, record.history, settings)
        if checkpoint and rank() == 0:
            save_checkpoint(checkpoint, model, optimiser, record.history, run)
    model.float()
    record.accuracy = accuracy(model, features, labels)  # in the dtype that the model is used in
    record.seconds = sum(entry["seconds"] for entry in record.history)
    return record


def build_optimiser(model: Model, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Adam with one group for the parts U, if the model has any, and one for the linear layer V."""
    parts = [parameter for name, parameter in model.named_parameters() if not name.startswith("classifier.")]
    groups: list[dict[str, Any]] = [
        {"params": list(model.classifier.parameters()), "initial_lr": settings.learning_rate_classifier},
        {"params": parts, "initial_lr": settings.learning_rate_parts},
    ]
    groups = [group for group in groups if group["params"]]
    for group in groups:
        group["lr"] = group["initial_lr"]
    return torch.optim.Adam(groups, weight_decay=settings.weight_decay, fused=True)


def train_epoch(
    model: Model,
    forward: nn.Module,
    optimiser: torch.optim.Optimizer,
    features: Features,
    labels: Tensor,
    settings: TrainingSettings,
    epoch: int,
) -> dict[str, Any]:
    """One pass over the images in an order drawn from (seed, epoch); returns the mean of every loss term.

    Features with a bound on memory are read block by block, see `dpnet.data.blocks`.
    """
    start, device = time.perf_counter(), next(model.parameters()).device
    processes, this = world_size(), rank()
    generator = torch.Generator().manual_seed((settings.seed * 1_000_003 + epoch) % SEEDS.stop)
    blocks = shuffled_blocks(len(labels), block_size(features), settings.batch_size, generator)
    steps = sum(map(len, blocks))
    sums: dict[str, Tensor] = {}
    model.train()
    for step, (batch, mine, maps) in enumerate(read_batches(features, blocks, this, processes)):
        _set_learning_rate(optimiser, (epoch + step / steps) / settings.epochs)
        maps = maps.to(device, settings.dtype, non_blocking=True)
        share = len(mine) * processes / len(batch)
        loss, terms = batch_loss(model, forward, maps, labels[mine].to(device), settings, share)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        for name, term in terms.items():
            sums[name] = sums.get(name, 0.0) + term * len(batch)
    entry = {name: mean_over_processes(total).item() / len(labels) for name, total in sums.items()}
    return {"epoch": epoch, **entry, "seconds": time.perf_counter() - start}


def _set_learning_rate(optimiser: torch.optim.Optimizer, fraction: float) -> None:
    """Cosine decay from the initial rate to 0 as the fraction of the run done goes from 0 to 1."""
    # Not a scheduler of PyTorch's: of the fraction alone, so that a run goes on without a scheduler's state.
    for group in optimiser.param_groups:
        group["lr"] = group["initial_lr"] * 0.5 * (1 + math.cos(math.pi * fraction))


def _diagnose(
    model: Model, features: Features, history: list[dict[str, Any]], settings: TrainingSettings
) -> list[str]:
    device = next(model.parameters()).device
    sample = features[torch.arange(min(len(features), 32))].to(device, settings.dtype)
    losses = [entry["cross_entropy"] for entry in history]
    problems = early_diagnostics(model, sample, losses, settings.constraints.needs_entropy)
    for problem in problems:
        warnings.warn(problem, stacklevel=3)
    return problems


def check_constraints(settings: TrainingSettings, num_classes: int) -> None:
    """Raise ValueError for a constraint that has no meaning for so many classes, or for the processes that train."""
    if settings.constraints.balance and world_size() > 1:
        raise ValueError("balance reads the whole batch; it is not available with several processes")
    if settings.constraints.class_specificity and num_classes < 2:
        raise ValueError("class_specificity is about parts of other classes; there is one class")


def _check(model: Model, features: Features, labels: Tensor, settings: TrainingSettings) -> None:
    if len(features) != len(labels) or not len(labels):
        raise ValueError(
            f"{len(features)} feature maps and {len(labels)} labels; expected as many, at least 1"
        )
    if labels.dtype != torch.int64:
        raise ValueError(f"labels have dtype {labels.dtype}; expected torch.int64")
    if labels.min() < 0 or labels.max() >= model.num_classes:
        raise ValueError(f"labels reach {labels.max().item()}; the model has {model.num_classes} classes")
    check_constraints(settings, model.num_classes)


def _distributed(model: nn.Module) -> nn.Module:
    if world_size() == 1:
        return model
    return nn.parallel.DistributedDataParallel(model)
