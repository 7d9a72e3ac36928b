"""Write tables, figures and claims into a folder; each is a pure function of the store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import pandas as pd

from reproduce.experiments import Claim, Experiment
from reproduce.layout import to_csv, to_latex, to_markdown
from reproduce.workspace import Workspace


def write_tables(workspace: Workspace, experiments: Iterable[Experiment], folder: Path) -> Iterator[Path]:
    """Every table as CSV (one row a cell), Markdown and LaTeX under `folder`/tables; yields the paths."""
    target = folder / "tables"
    target.mkdir(parents=True, exist_ok=True)
    for experiment in experiments:
        for name, table in experiment.tables(workspace).items():
            for suffix, text in (
                ("csv", to_csv(table)),
                ("md", to_markdown(table)),
                ("tex", to_latex(table)),
            ):
                path = target / f"{name}.{suffix}"
                path.write_text(text, encoding="utf-8")
                yield path


def write_figures(workspace: Workspace, experiments: Iterable[Experiment], folder: Path) -> Iterator[Path]:
    """Every figure as PNG and PDF in `folder`; yields the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for experiment in experiments:
        for name, figure in experiment.figures(workspace).items():
            for suffix in ("png", "pdf"):
                path = folder / f"{name}.{suffix}"
                # No creation date in the file: the same store gives the same bytes.
                metadata = {"CreationDate": None} if suffix == "pdf" else None
                figure.savefig(path, dpi=100, bbox_inches="tight", metadata=metadata)
                yield path


def write_claims(workspace: Workspace, experiments: Iterable[Experiment], folder: Path) -> list[Claim]:
    """The papers' claims with their verdicts, as claims.csv in `folder`/tables."""
    claims = [claim for experiment in experiments for claim in experiment.claims(workspace)]
    if claims:
        path = folder / "tables" / "claims.csv"
        pd.DataFrame([asdict(claim) for claim in claims]).to_csv(path, index=False)
    return claims
