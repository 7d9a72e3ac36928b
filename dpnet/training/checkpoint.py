"""Save and restore a training run so that it ends with the same weights as one never interrupted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from opticam.data.files import whole_file

FORMAT = 2


def one_line(error: Exception) -> str:
    """What an error says in its first line that says something: PyTorch's announce a list with a colon."""
    lines = [line.strip() for line in str(error).splitlines()]
    return next((line for line in lines if line and not line.endswith(":")), type(error).__name__)


def differing(expected: Mapping[str, Any], found: Mapping[str, Any]) -> list[str]:
    """Names under which two records of what something was made of hold different values, or one of them none."""
    return [name for name in {**expected, **found} if expected.get(name) != found.get(name)]


def save_checkpoint(
    path: Path,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    history: list[dict[str, float]],
    run: dict[str, Any],
) -> None:
    """Write weights, optimiser, history and what the run is of; whole or not at all."""
    state = {
        "format": FORMAT,
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "history": history,
        "run": run,
    }
    with whole_file(path) as temporary:
        torch.save(state, temporary)


def load_checkpoint(
    path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, run: dict[str, Any]
) -> list[dict[str, float]]:
    """Restore what `save_checkpoint` wrote and return the history so far.

    Raises ValueError, naming what differs, when the file belongs to another run.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise ValueError(f"checkpoint {path} cannot be read: {one_line(error)}") from None
    if state.get("format") != FORMAT:
        raise ValueError(
            f"checkpoint {path} has format {state.get('format')}; expected {FORMAT}: give another folder or remove it"
        )
    different = differing(run, state["run"])
    if different:
        raise ValueError(f"checkpoint {path} belongs to a run with another {', '.join(different)}")
    try:
        model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise ValueError(f"checkpoint {path} is of another model: {one_line(error)}") from None
    optimiser.load_state_dict(state["optimiser"])
    history: list[dict[str, float]] = state["history"]
    return history
