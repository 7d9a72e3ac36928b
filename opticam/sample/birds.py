"""Variant "fine": birds that share one body plan; classes differ in wing, tail, crest and beak only.

What makes it hard: the telling parts are small, any two classes agree in up to two of the four, the body's
colour varies within a class and says nothing about it, birds face either way, are tilted, partly covered
and stand before textured backgrounds. Part ids number the values of the four slots one after another.
"""

from __future__ import annotations

from itertools import accumulate, product

import numpy as np

from opticam.sample.objects import neutral_part
from opticam.sample.painting import Drawing, Frame, PartType, Pose, paint, union_box
from opticam.sample.textures import background

CLASSES = 12
COVERED = 0.35
WINGS = tuple(PartType("disc", pattern, 0.58, 0.95) for pattern in ("stripes", "checks", "dots", "circles"))
TAILS = (
    PartType("triangle", "plain", 0.0, 0.1),
    PartType("bar", "stripes", 0.36, 0.1),
    PartType("half_disc", "plain", 0.16, 0.1),
)
CRESTS = (
    PartType("star", "plain", 0.8, 0.1),
    PartType("flower", "plain", 0.09, 0.1),
    PartType("cross", "plain", 0.36, 0.1),
)
BEAKS = tuple(PartType("triangle", "plain", hue, 0.1) for hue in (0.0, 0.14, 0.55))
SLOTS = (WINGS, TAILS, CRESTS, BEAKS)
PART_TYPES = tuple(kind for slot in SLOTS for kind in slot)
_FIRST_ID = (0, *accumulate(len(slot) for slot in SLOTS))


def _class_parts() -> tuple[tuple[int, ...], ...]:
    """Part ids of each class: the first combinations, in random order, that differ in two slots or more."""
    combinations = list(product(*(range(len(slot)) for slot in SLOTS)))
    np.random.default_rng(len(combinations)).shuffle(combinations)
    chosen: list[tuple[int, ...]] = []
    for values in combinations:
        if all(sum(a != b for a, b in zip(values, other)) >= 2 for other in chosen):
            chosen.append(values)
    return tuple(tuple(first + int(value) for first, value in zip(_FIRST_ID, c)) for c in chosen[:CLASSES])


CLASS_PARTS = _class_parts()


def _telling_poses(frame: Frame, rng: np.random.Generator) -> tuple[Pose, ...]:
    """Poses of wing, tail, crest and beak of a bird that faces right (left if mirrored)."""
    turn = rng.normal(0, 0.15, 4)
    return (
        frame.pose(-0.15, 0.12, 0.27, 0.3 + turn[0], 1.35),
        frame.pose(-0.75, -0.02, 0.24, turn[1] - 0.6, 1.2),
        frame.pose(0.42, -0.72, 0.18, turn[2]),
        frame.pose(0.82, -0.36, 0.15, np.pi / 2 + turn[3]),
    )


def _draw_body(image: np.ndarray, frame: Frame, rng: np.random.Generator) -> list[np.ndarray]:
    """Legs, body and head in one dull colour, and a dark eye; returns their boxes."""
    coat = PartType("disc", "plain", rng.random(), 0.5, rng.uniform(0.1, 0.45), rng.uniform(0.35, 0.85))
    leg = PartType("bar", "plain", 0.08, 0.2, 0.5, 0.35)
    boxes = [paint(image, leg, frame.pose(u, 0.72, 0.2, np.pi / 2), rng) for u in (-0.2, 0.08)]
    boxes.append(paint(image, coat, frame.pose(-0.12, 0.15, 0.42, -0.25, 1.35), rng))
    boxes.append(paint(image, coat, frame.pose(0.45, -0.36, 0.29), rng))
    paint(image, PartType("disc", "plain", 0.0, 0.0, 0.0, 0.05), frame.pose(0.55, -0.42, 0.06), rng)
    return boxes


def draw_bird(label: int, size: int, rng: np.random.Generator) -> Drawing:
    """One bird of class ``label``, before exposure."""
    drawing = Drawing(background(rng, size))
    radius = size * rng.uniform(0.36, 0.46)
    x, y = rng.uniform(radius, size - radius, 2)
    frame = Frame(x, y, radius, rng.normal(0, 0.2), bool(rng.random() < 0.5))
    boxes = _draw_body(drawing.image, frame, rng)
    for part_id, pose in zip(CLASS_PARTS[label], _telling_poses(frame, rng)):
        boxes.append(paint(drawing.image, PART_TYPES[part_id], pose, rng))
        drawing.add_part(part_id, pose)
    drawing.boxes.append(union_box(boxes))
    if rng.random() < COVERED:
        u, v = rng.uniform(-0.7, 0.7, 2)
        paint(drawing.image, neutral_part(rng), frame.pose(u, v, rng.uniform(0.12, 0.22)), rng)
    return drawing
