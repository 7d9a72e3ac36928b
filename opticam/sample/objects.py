"""Variant "many": one object a picture, made of a body and three parts, among clutter.

What makes it hard: no part belongs to one class only (any two classes may share a part, and each part is
used by several classes), hues are shared by many parts and jittered, the body's colour and pattern and the
background say nothing about the class, loose parts of other classes and neutral shapes lie about, half of
the objects are partly covered, size, angle, position, contrast and noise vary, and one picture in five
holds a second object: of the same class (then it has a box too) or, as often, of another class and always
smaller than the labelled one.
"""

from __future__ import annotations

import numpy as np

from opticam.sample.catalogue import class_part_sets, part_types
from opticam.sample.painting import Drawing, Frame, PartType, Pose, paint, union_box
from opticam.sample.textures import PATTERNS, background

CLASSES, PARTS_PER_CLASS = 20, 3
PART_TYPES = part_types(0, 18)
CLASS_PARTS = class_part_sets(CLASSES, len(PART_TYPES), PARTS_PER_CLASS, shared=1)
SECOND_OBJECT, COVERED = 0.2, 0.5
BODY_SHAPES = ("disc", "square", "half_disc")


def neutral_part(rng: np.random.Generator, shapes: tuple[str, ...] = BODY_SHAPES) -> PartType:
    """A part of dull random colour that says nothing about the class."""
    shape, pattern = rng.choice(shapes), rng.choice(tuple(PATTERNS))
    return PartType(shape, pattern, rng.random(), rng.random(), rng.uniform(0, 0.4), rng.uniform(0.2, 0.9))


def _frame(rng: np.random.Generator, size: int, radius: float) -> Frame:
    """Frame of an object of half size ``radius`` (pixels) that lies within the image."""
    x, y = rng.uniform(radius, size - radius, 2)
    return Frame(x, y, radius, rng.normal(0, 0.4), bool(rng.random() < 0.5))


def _second_frame(rng: np.random.Generator, size: int, first: Frame) -> Frame:
    """Frame of a smaller object: of six random ones, the one that lies farthest from the first object."""
    frames = [_frame(rng, size, first.radius * rng.uniform(0.55, 0.8)) for _ in range(6)]
    return max(frames, key=lambda frame: np.hypot(frame.x - first.x, frame.y - first.y))


Placed = list[tuple[int, Pose]]


def _draw_object(
    drawing: Drawing, label: int, frame: Frame, rng: np.random.Generator
) -> tuple[np.ndarray, Placed]:
    """Paint body and parts; returns the box of all of it and (part id, pose) of each part."""
    body = frame.pose(0, 0, rng.uniform(0.45, 0.6), rng.uniform(0, np.pi), rng.uniform(1, 1.3))
    boxes = [paint(drawing.image, neutral_part(rng), body, rng)]
    placed = []
    for slot, part_id in enumerate(CLASS_PARTS[label]):
        angle, distance = 2 * np.pi * slot / PARTS_PER_CLASS + rng.normal(0, 0.2), rng.uniform(0.6, 0.7)
        u, v = distance * np.sin(angle), -distance * np.cos(angle)
        pose = frame.pose(u, v, rng.uniform(0.28, 0.38), angle + rng.normal(0, 0.4), rng.uniform(0.9, 1.15))
        boxes.append(paint(drawing.image, PART_TYPES[part_id], pose, rng))
        placed.append((part_id, pose))
    return union_box(boxes), placed


def _loose_parts(label: int, count: int, rng: np.random.Generator) -> list[int]:
    """Part ids foreign to the class that, with the class's own parts, do not complete another class."""
    present = set(CLASS_PARTS[label])
    loose: list[int] = []
    for part_id in rng.permutation(len(PART_TYPES)):
        extended = present | {int(part_id)}
        completes = any(set(ids) <= extended for c, ids in enumerate(CLASS_PARTS) if c != label)
        if len(loose) < count and part_id not in present and not completes:
            loose.append(int(part_id))
            present = extended
    return loose


def _draw_clutter(drawing: Drawing, label: int, rng: np.random.Generator) -> None:
    """Neutral shapes and loose parts anywhere in the image."""
    size = drawing.image.shape[0]
    kinds = [neutral_part(rng) for _ in range(rng.integers(1, 4))]
    kinds += [PART_TYPES[i] for i in _loose_parts(label, int(rng.integers(1, 4)), rng)]
    for kind in kinds:
        x, y = rng.uniform(0, size, 2)
        paint(drawing.image, kind, Pose(x, y, rng.uniform(0.06, 0.11) * size, rng.uniform(0, 2 * np.pi)), rng)


def _draw_second(drawing: Drawing, label: int, first: Frame, rng: np.random.Generator) -> None:
    """Paint a second object, as often of the labelled class as of another."""
    same = rng.random() < 0.5
    other = label if same else int((label + rng.integers(1, CLASSES)) % CLASSES)
    box, placed = _draw_object(drawing, other, _second_frame(rng, drawing.image.shape[0], first), rng)
    (drawing.boxes if same else drawing.other_boxes).append(box)
    for part_id, pose in placed if same else ():
        drawing.add_part(part_id, pose)


def draw_object_picture(label: int, size: int, rng: np.random.Generator) -> Drawing:
    """One picture of class ``label``, before exposure."""
    drawing = Drawing(background(rng, size))
    crowded = rng.random() < SECOND_OBJECT
    frame = _frame(rng, size, size * (rng.uniform(0.24, 0.3) if crowded else rng.uniform(0.26, 0.4)))
    _draw_clutter(drawing, label, rng)
    if crowded:
        _draw_second(drawing, label, frame, rng)
    box, placed = _draw_object(drawing, label, frame, rng)
    drawing.boxes.insert(0, box)
    for part_id, pose in placed:
        drawing.add_part(part_id, pose)
    if rng.random() < COVERED:
        u, v = rng.uniform(-0.7, 0.7, 2)
        cover = frame.pose(u, v, rng.uniform(0.2, 0.32), rng.uniform(0, np.pi))
        paint(drawing.image, neutral_part(rng), cover, rng)
    return drawing
