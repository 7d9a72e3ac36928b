"""Metric groups that need object boxes, each under both protocols; NaN for images without boxes.

The legacy protocol's names end in " legacy".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch

from opticam import metrics
from opticam.metrics.box_accuracy import DELTAS
from reproduce.saliency.explained_batch import SCORES, Evaluated
from reproduce.workspace.sources import PROTOCOLS

Values = Mapping[str, torch.Tensor]

HITS = tuple(f"hits {delta:g}" for delta in DELTAS)
"""Thresholds of a map at which its box fits, as bits of one whole number, for each smallest overlap δ: BA is no
mean over images, but follows from these. 20 thresholds are exact in a float64."""
LOCALIZATION = ("OM", "LE", "F1", "SP", "EP", "SM", *HITS)
BOX_STUDY = tuple(f"{score} {region}" for region in ("B∩S", "S\\B") for score in SCORES)
BOX = tuple(f"{score} {region}" for region in ("B", "I\\B") for score in SCORES)


def box_names(names: Sequence[str]) -> tuple[str, ...]:
    """The names of a group's metrics under both protocols."""
    return tuple(protocol_name(name, protocol) for protocol in PROTOCOLS for name in names)


def protocol_name(name: str, protocol: str) -> str:
    """A metric's name in the store under a protocol."""
    return name if protocol == "paper" else f"{name} {protocol}"


def _for_annotated(
    compute: Callable[[Evaluated, list[int], str], Values], names: Sequence[str]
) -> Callable[[Evaluated], Values]:
    """A group's function from `compute(given, rows, protocol)` for the rows whose images have boxes."""

    def group(given: Evaluated) -> Values:
        values = {}
        for protocol in PROTOCOLS:
            boxes = given.batch.boxes[protocol]
            rows = [row for row, entry in enumerate(boxes) if len(entry)]
            found = compute(given, rows, protocol) if rows else {}
            for name in names:
                column = torch.full((len(given.batch),), torch.nan, dtype=torch.float64)
                if rows:
                    column[rows] = found[name].cpu().double()
                values[protocol_name(name, protocol)] = column
        return values

    return group


def _localization(given: Evaluated, rows: list[int], protocol: str) -> Values:
    batch, maps = given.batch.part(rows), given.maps[rows]
    boxes, correct = batch.boxes[protocol], given.view.correct[rows]
    overlaps = metrics.box_overlaps(maps, boxes, protocol)
    return {
        **metrics.localization(maps, boxes, correct, protocol),
        "SM": metrics.saliency_metric(given.classifier, batch.images, maps, batch.labels, protocol),
        **{name: pack_hits(overlaps, delta) for name, delta in zip(HITS, DELTAS)},
    }


def pack_hits(overlaps: torch.Tensor, delta: float) -> torch.Tensor:
    """Float64 [B]: Σ_t 2^t · 1[overlap at threshold t >= delta], of `box_overlaps` [B,T]."""
    bits = (overlaps >= torch.tensor(delta, dtype=overlaps.dtype)).double()
    return (bits * 2.0 ** torch.arange(overlaps.shape[1], device=overlaps.device)).sum(1)


def _box_study(given: Evaluated, rows: list[int], protocol: str) -> Values:
    return _study(given, rows, protocol, given.maps[rows], ("B∩S", "S\\B"))


def _box(given: Evaluated, rows: list[int], protocol: str) -> Values:
    """The boxes alone as maps; no method's map is read."""
    return _study(given, rows, protocol, torch.zeros_like(given.batch.images[rows, 0]), ("B", "I\\B"))


def _study(
    given: Evaluated, rows: list[int], protocol: str, maps: torch.Tensor, regions: Sequence[str]
) -> Values:
    batch = given.batch.part(rows)
    scores = metrics.box_study(
        given.classifier,
        batch.images,
        maps,
        batch.labels,
        batch.boxes[protocol],
        protocol=protocol,
        regions=regions,
        image_probabilities=given.view.probabilities[rows],
    )
    return {f"{score} {region}": scores[region][score] for region in regions for score in SCORES}


localization = _for_annotated(_localization, LOCALIZATION)
box_study = _for_annotated(_box_study, BOX_STUDY)
box = _for_annotated(_box, BOX)
