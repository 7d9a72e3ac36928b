"""Saliency maps and metrics as one call: what `reproduce run` does in steps."""

from __future__ import annotations

from collections.abc import Iterable

from reproduce.saliency.evaluation import compute, look
from reproduce.saliency.requests import Request
from reproduce.workspace.processes import wait
from reproduce.workspace.workspace import Workspace


def evaluate(workspace: Workspace, requests: Iterable[Request]) -> None:
    """Compute and store what is missing of `requests`."""
    missing = look(workspace, requests)
    wait()  # nobody stores before all have looked
    compute(workspace, missing)
