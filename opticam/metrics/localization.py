"""How well a map finds the object: official metric, localisation error, pixel F1 and two pointing games.

Two protocols. "paper" follows the definitions of Opti-CAM's Appendix B.1, with boxes that went through the
same resize and crop as the image. "legacy" follows the authors' evaluation code, whose output the published
tables hold; `opticam.metrics.legacy_protocol` lists the differences. Use "paper" for new results and "legacy"
to stand beside published figures.
"""

from __future__ import annotations

from types import ModuleType

import torch
from torch import Tensor

from opticam.metrics import legacy_protocol, paper_protocol
from opticam.metrics.boxes import Boxes, pack_boxes
from opticam.metrics.checks import at_least_float32, check_unit_maps, describe

PROTOCOLS = {"paper": paper_protocol, "legacy": legacy_protocol}
BLOCK = 32  # maps whose masks fit a CPU's cache: twice as fast as a large batch at once


def localization(maps: Tensor, boxes: Boxes, correct: Tensor, protocol: str = "paper") -> dict[str, Tensor]:
    """OM, LE, F1, SP and EP of a batch, in percent.

    `maps` S [B, H, W] in [0, 1]; `boxes` B tensors [n, 4] of (x1, y1, x2, y2) in pixels of the maps, clipped to
    the image for "paper" and not for "legacy"; `correct` bool [B], whether the class predicted on the image
    is the true one. Returns {"OM", "LE", "F1", "SP", "EP"}, each [B] in [0, 100] and at least float32: OM and LE down,
    the others up is better. With B_p the box of the largest component of S > mean(S), and U the union of the boxes:

    * OM, official metric: 1 - max_B IoU(B, B_p) · 1[c_p = c] (eq. B.1).
    * LE, localisation error: 1 - max_B IoU(B, B_p) (eq. B.2). "legacy" replaces both IoU by 1[IoU > 0.5].
    * F1, of pixels: 2PR / (P + R), P = Σ_U S / ΣS, R = Σ_U S / |U| (eqs. B.3 and B.4). "legacy": the best single box.
    * SP, standard pointing game: 1[argmax S ∈ U], of several maxima the first in raster order. "legacy": any of them,
      with x read as the row.
    * EP, energy pointing game: P of eq. B.3. "legacy" sums over `legacy_union_mask` instead of U.

    Source: Opti-CAM Appendix B.1. Raises `ValueError`/`TypeError` for a shape or dtype that does not fit, an image
    without a box, or another protocol.
    """
    rules = protocol_rules(protocol)
    check_unit_maps(maps)
    _check_correct(correct, len(maps))
    maps, boxes = at_least_float32(maps), pack_boxes(boxes, len(maps), maps.device)
    overlap = rules.overlap(rules.predicted_box(maps), boxes)
    blocks = [rules.pixel_scores(*block) for block in zip(maps.split(BLOCK), boxes.split(BLOCK))]
    pixel_scores = {name: 100 * torch.cat([block[name] for block in blocks]) for name in ("F1", "SP", "EP")}
    return {"OM": 100 * (1 - overlap * correct.to(maps.device)), "LE": 100 * (1 - overlap)} | pixel_scores


def protocol_rules(protocol: str) -> ModuleType:
    """The module that defines a protocol; `ValueError` unless it is "paper" or "legacy"."""
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {tuple(PROTOCOLS)}, got {protocol!r}")
    return PROTOCOLS[protocol]


def _check_correct(correct: Tensor, batch: int) -> None:
    if not isinstance(correct, Tensor) or correct.dtype != torch.bool or correct.shape != (batch,):
        raise TypeError(f"correct must be a bool tensor [{batch}], got {describe(correct)}")
