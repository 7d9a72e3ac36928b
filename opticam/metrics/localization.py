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
from opticam.metrics.checks import check_unit_maps, describe

PROTOCOLS = {"paper": paper_protocol, "legacy": legacy_protocol}
BLOCK = 32  # maps whose masks fit a CPU's cache: twice as fast as a large batch at once


def localization(maps: Tensor, boxes: Boxes, correct: Tensor, protocol: str = "paper") -> dict[str, Tensor]:
    """OM, LE, F1, SP and EP of a batch, in percent, with the predicted box computed once.

    `maps` [B, H, W] in [0, 1]; `boxes` B tensors [n, 4] of (x1, y1, x2, y2) in pixels of the maps, clipped to
    the image for "paper" and not for "legacy"; `correct` bool [B], whether the class predicted on the image
    is the true one. Returns {"OM": [B], "LE": [B], "F1": [B], "SP": [B], "EP": [B]}: OM and LE down, the
    others up is better. Source: Opti-CAM eqs. B.1-B.6. Raises `ValueError`/`TypeError` for a shape or dtype
    that does not fit, an image without a box, or another protocol.
    """
    rules = protocol_rules(protocol)
    check_unit_maps(maps)
    _check_correct(correct, len(maps))
    boxes = pack_boxes(boxes, len(maps), maps.device)
    overlap = rules.overlap(rules.predicted_box(maps), boxes)
    blocks = [rules.pixel_scores(*block) for block in zip(maps.split(BLOCK), boxes.split(BLOCK))]
    pixel_scores = {name: 100 * torch.cat([block[name] for block in blocks]) for name in ("F1", "SP", "EP")}
    return {"OM": 100 * (1 - overlap * correct.to(maps.device)), "LE": 100 * (1 - overlap)} | pixel_scores


def official_metric(maps: Tensor, boxes: Boxes, correct: Tensor, protocol: str = "paper") -> Tensor:
    """OM = 100 · (1 - max_B IoU(B, B_p) · 1[c_p = c]) per image: [B] in [0, 100]; lower is better.

    `correct` bool [B] is 1[c_p = c]: the predicted class is the true one. "legacy" replaces the largest IoU
    by 1[IoU > 0.5]. Arguments as in `localization`. Source: Opti-CAM eq. B.1.
    """
    _check_correct(correct, len(maps))
    return 100 - (100 - localization_error(maps, boxes, protocol)) * correct.to(maps.device)


def localization_error(maps: Tensor, boxes: Boxes, protocol: str = "paper") -> Tensor:
    """LE = 100 · (1 - max_B IoU(B, B_p)) per image: [B] in [0, 100]; lower is better.

    B_p is the box of the largest component of S > mean(S). "legacy" replaces the largest IoU by 1[IoU > 0.5].
    Arguments as in `localization`. Source: Opti-CAM eq. B.2.
    """
    rules, boxes = _prepare(maps, boxes, protocol)
    errors: Tensor = 100 * (1 - rules.overlap(rules.predicted_box(maps), boxes))
    return errors


def pixel_f1(maps: Tensor, boxes: Boxes, protocol: str = "paper") -> Tensor:
    """F1 = 100 · 2PR / (P + R), P = Σ_U S / ΣS, R = Σ_U S / |U|: [B] in [0, 100]; higher is better.

    U is the union of the boxes; "legacy" takes the best single box instead. Arguments as in `localization`.
    Source: Opti-CAM eqs. B.3 and B.4.
    """
    rules, boxes = _prepare(maps, boxes, protocol)
    scores: Tensor = 100 * rules.pixel_scores(maps, boxes)["F1"]
    return scores


def pointing_game(maps: Tensor, boxes: Boxes, protocol: str = "paper") -> Tensor:
    """SP, standard pointing game: 100 · 1[argmax S ∈ U] per image: [B], each 0 or 100; higher is better.

    "paper": the first maximum in raster order points. "legacy": any maximum may, with x read as the row.
    Arguments as in `localization`. Source: Opti-CAM Appendix B.1.
    """
    rules, boxes = _prepare(maps, boxes, protocol)
    scores: Tensor = 100 * rules.pixel_scores(maps, boxes)["SP"]
    return scores


def energy_pointing_game(maps: Tensor, boxes: Boxes, protocol: str = "paper") -> Tensor:
    """EP, energy pointing game: 100 · Σ_U S / ΣS per image: [B] in [0, 100]; higher is better.

    "legacy" sums over `legacy_union_mask` instead of U. Arguments as in `localization`.
    Source: Opti-CAM Appendix B.1, where EP = P of eq. B.3.
    """
    rules, boxes = _prepare(maps, boxes, protocol)
    scores: Tensor = 100 * rules.pixel_scores(maps, boxes)["EP"]
    return scores


def protocol_rules(protocol: str) -> ModuleType:
    """The module that defines a protocol; `ValueError` unless it is "paper" or "legacy"."""
    if protocol not in PROTOCOLS:
        raise ValueError(f"protocol must be one of {tuple(PROTOCOLS)}, got {protocol!r}")
    return PROTOCOLS[protocol]


def _prepare(maps: Tensor, boxes: Boxes, protocol: str) -> tuple[ModuleType, Tensor]:
    rules = protocol_rules(protocol)
    check_unit_maps(maps)
    return rules, pack_boxes(boxes, len(maps), maps.device)


def _check_correct(correct: Tensor, batch: int) -> None:
    if not isinstance(correct, Tensor) or correct.dtype != torch.bool or correct.shape != (batch,):
        raise TypeError(f"correct must be a bool tensor [{batch}], got {describe(correct)}")
