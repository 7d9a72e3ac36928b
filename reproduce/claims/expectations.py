"""What must hold on every machine, and fails `check` where it does not: never a claim, whose verdict is a result."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from reproduce.claims.measured import Results
from reproduce.saliency.fake_cam_boxes import CSV
from reproduce.tables.metric_names import METRICS

GLOBAL_POOLING = ("resnet50", "sample_resnet")
"""Networks whose explained layer is followed by global pooling and one linear layer alone: there the weights of
Grad-CAM are its gradients, the same at every position, and XGrad-CAM and HiRes-CAM are the same map."""
SAME = ("XGrad-CAM", "HiRes-CAM")
IDENTITY_TABLES = {"opticam_table1": ("AD", "AG"), "opticam_table3": ("insertion", "deletion")}
"""AI is left out: it counts images, and an image on the edge may fall on either side by rounding."""


class Expectation(NamedTuple):
    """What is expected, whether it holds (None: nothing is stored), and the numbers that say so."""

    text: str
    holds: bool | None
    evidence: str


def expectations(results: Results, checks: Path) -> list[Expectation]:
    """The identities of rows, and the published numbers that follow from object boxes alone."""
    return [*_boxes(checks), *_identities(results)]


def _boxes(checks: Path) -> Iterator[Expectation]:
    """Fake-CAM's localisation on ImageNet's boxes, as `check fake-cam-boxes` has written it."""
    rows = box_row(checks)
    if rows is None:
        yield Expectation(
            "Fake-CAM's published localisation follows from ImageNet's boxes", None, f"no {CSV.name}"
        )
        return
    for row in rows.itertuples():
        text = f"Fake-CAM's published {row.metric} follows from {row.images} pictures' boxes to the printed digit"
        evidence = f"published {row.published:.1f}, measured {row.legacy:.2f}"
        yield Expectation(text, round(row.legacy, 1) == row.published, evidence)


def box_row(checks: Path) -> pd.DataFrame | None:
    """What `check fake-cam-boxes` has written into a folder of checks, a row per metric; None where it has not run."""
    path = checks / CSV.name
    return pd.read_csv(path) if path.is_file() else None


def _identities(results: Results) -> Iterator[Expectation]:
    for table, metrics in IDENTITY_TABLES.items():
        for _, _, own in results.places(table):
            if own.split(" [")[0] in GLOBAL_POOLING:
                for metric in metrics:
                    for method in SAME:
                        yield _identity(results, table, own, metric, method)


def _identity(results: Results, table: str, own: str, metric: str, method: str) -> Expectation:
    """On the images that both have, the means agree to the printed digit."""
    text = f"{metric} of {method} equals Grad-CAM's on {own}, which has global pooling"
    sides = [results.column(table, own, metric, name) for name in ("Grad-CAM", method)]
    both = pd.concat(sides, axis=1, join="inner").dropna()
    if both.empty:
        return Expectation(text, None, "not run")
    one, other = both.mean()
    digits = METRICS[metric].digits
    evidence = f"{one:.{digits + 2}f} and {other:.{digits + 2}f} on {len(both)} images"
    return Expectation(text, abs(one - other) < 0.5 * 10.0**-digits, evidence)
