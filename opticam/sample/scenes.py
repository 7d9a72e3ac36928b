"""Variant "scenes": rooms without a main object; a class is which four part types occur together.

What makes it hard: the parts lie all over the picture, once or twice each, among three to five foreign
ones; two classes may have two of their four part types in common; wall and floor say nothing about the
class; and none of the part types occurs in the variant the sample networks are trained on. The box of a
scene is the whole picture.
"""

from __future__ import annotations

import numpy as np

from opticam.sample.catalogue import class_part_sets, part_types
from opticam.sample.objects import neutral_part
from opticam.sample.painting import Drawing, Pose, paint
from opticam.sample.textures import background

CLASSES, PARTS_PER_CLASS = 10, 4
PART_TYPES = part_types(18, 16)
CLASS_PARTS = class_part_sets(CLASSES, len(PART_TYPES), PARTS_PER_CLASS, shared=2)
CELLS = 4


def _room(rng: np.random.Generator, size: int) -> np.ndarray:
    """Wall above, floor below, each with its own texture."""
    room, floor = background(rng, size), background(rng, size)
    horizon = int(rng.uniform(0.45, 0.75) * size)
    room[horizon:] = floor[horizon:] * 0.85
    return room


def _cell_poses(rng: np.random.Generator, size: int) -> list[Pose]:
    """Poses in the cells of a grid, jittered, in random order, so that parts seldom cover each other."""
    cell = size / CELLS
    poses = []
    for index in rng.permutation(CELLS * CELLS):
        column, row = (index % CELLS + rng.uniform(0.3, 0.7), index // CELLS + rng.uniform(0.3, 0.7))
        radius = rng.uniform(0.33, 0.52) * cell
        poses.append(Pose(column * cell, row * cell, radius, rng.normal(0, 0.5), rng.uniform(0.9, 1.15)))
    return poses


def _foreign_parts(label: int, count: int, rng: np.random.Generator) -> list[int]:
    """Part ids that the class lacks, one short at least of completing another class."""
    others = [i for i in rng.permutation(len(PART_TYPES)).tolist() if i not in CLASS_PARTS[label]]
    chosen: list[int] = []
    for part_id in others:
        present = {*CLASS_PARTS[label], *chosen, part_id}
        completes = any(set(ids) <= present for c, ids in enumerate(CLASS_PARTS) if c != label)
        if len(chosen) < count and not completes:
            chosen.append(part_id)
    return chosen


def draw_scene(label: int, size: int, rng: np.random.Generator) -> Drawing:
    """One room of class ``label``, before exposure."""
    drawing = Drawing(_room(rng, size), boxes=[np.array([0, 0, size, size])])
    poses = iter(_cell_poses(rng, size))
    for _ in range(2):
        paint(drawing.image, neutral_part(rng), next(poses), rng)
    for part_id in _foreign_parts(label, int(rng.integers(3, 6)), rng):
        paint(drawing.image, PART_TYPES[part_id], next(poses), rng)
    for part_id in CLASS_PARTS[label]:
        for _ in range(rng.integers(1, 3)):
            pose = next(poses)
            paint(drawing.image, PART_TYPES[part_id], pose, rng)
            drawing.add_part(part_id, pose)
    return drawing
