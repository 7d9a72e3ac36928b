"""Runs of `python -m dpnet train` in the tables, in place of models that are trained here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from dpnet.training.checkpoint import differing
from dpnet.training.saving import CARD_NAME, ModelCard, read_card
from reproduce.parts.models import CONSTRAINTS, EXPERIMENT, PartRun, forget_dataset, parts_label
from reproduce.workspace.store import Row
from reproduce.workspace.workspace import Workspace

NOT_STORED = ("method", "seed", "train_accuracy", "test_accuracy")


def enter_runs(workspace: Workspace) -> int:
    """Store what the folders given as --parts-runs hold, in place of what was; how many runs that is.

    Raises FileNotFoundError for a folder without models, ValueError for a backbone that the profile does not have,
    constraints that no line of the tables has, two runs for one place, or seeds of one line that were trained
    differently; nothing is stored then.
    """
    found: dict[PartRun, tuple[ModelCard, Path]] = {}
    lines: dict[PartRun, tuple[ModelCard, Path]] = {}
    for dataset, folder in workspace.parts_input.runs.items():
        for home in sorted(path.parent for path in folder.glob(f"*/{CARD_NAME}")):
            card = read_card(home)
            run = _place(workspace, dataset, card, home)
            if run in found:
                raise ValueError(f"parts-runs: {home} and {found[run][1]} are the same method and seed")
            found[run] = card, home
            first, its_home = lines.setdefault(replace(run, seed=0), (card, home))
            other = differing(first.settings | {"seed": None}, card.settings | {"seed": None})
            if other:
                raise ValueError(
                    f"parts-runs: {home} and {its_home} differ in {', '.join(other)}; a line is of one recipe"
                )
        if not any(run.dataset == dataset for run in found):
            raise FileNotFoundError(f"parts-runs: {folder} holds no run; `python -m dpnet train` writes them")
    experiment = workspace.of_models(EXPERIMENT)
    for dataset in workspace.parts_input.runs:
        forget_dataset(workspace, experiment, dataset)
    for run, (card, _) in found.items():
        keys = workspace.profile.name, experiment, run.backbone, run.method, run.image
        figures = {name: value for name, value in card.results.items() if name not in NOT_STORED}
        figures["accuracy"] = card.results["test_accuracy"]
        workspace.store.write(Row(*keys, name, float(value)) for name, value in figures.items())
    return len(found)


def _place(workspace: Workspace, dataset: str, card: ModelCard, home: Path) -> PartRun:
    """Where in the tables a run belongs."""
    backbone, known = card.backbone.name, workspace.parts.backbones
    if backbone not in known:
        raise ValueError(f"parts-runs: {home} has the backbone {backbone}; give --parts-backbone {backbone}")
    is_global = card.results["method"] == "global"
    method = "Global" if is_global else _label(card.settings["constraints"], home)
    return PartRun(dataset, backbone, method, int(card.results["seed"]))


def _label(weights: dict[str, Any], home: Path) -> str:
    """The method label of the constraints that have a weight."""
    used = {name for name, weight in weights.items() if not isinstance(weight, str) and weight}
    for label, names in CONSTRAINTS.items():
        if used == set(names):
            return parts_label(label)
    raise ValueError(f"parts-runs: {home} has constraints that no table has: {', '.join(sorted(used))}")
