"""Paint textured parts on an image and keep track of where they are."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from opticam.sample.shapes import SHAPES
from opticam.sample.textures import PATTERNS, rgb


@dataclass(frozen=True)
class PartType:
    """Look of a part: names in ``SHAPES`` and ``PATTERNS``, hue, and tone of its second colour (0 to 1)."""

    shape: str
    pattern: str
    hue: float
    tone: float
    saturation: float = 0.75
    value: float = 0.85


@dataclass(frozen=True)
class Pose:
    """Where a part is: centre and half size in pixels, angle in radians, ``stretch`` of u against v."""

    x: float
    y: float
    radius: float
    angle: float = 0.0
    stretch: float = 1.0
    mirrored: bool = False


@dataclass
class Drawing:
    """A canvas [H,H,3] float32, the pixel boxes of the objects on it and the parts that define the class."""

    image: np.ndarray
    boxes: list[np.ndarray] = field(default_factory=list)
    other_boxes: list[np.ndarray] = field(default_factory=list)
    part_centres: list[tuple[float, float]] = field(default_factory=list)
    part_ids: list[int] = field(default_factory=list)

    def add_part(self, part_id: int, pose: Pose) -> None:
        """Record a part of the labelled class."""
        self.part_centres.append((pose.x, pose.y))
        self.part_ids.append(part_id)


@dataclass(frozen=True)
class Frame:
    """Pose of an object: maps its own coordinates, in units of its half size, to pixels."""

    x: float
    y: float
    radius: float
    angle: float
    mirrored: bool = False

    def pose(self, u: float, v: float, radius: float, angle: float = 0.0, stretch: float = 1.0) -> Pose:
        """Pose in the image of a part given in this frame."""
        if self.mirrored:
            u, angle = -u, -angle
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        x = self.x + self.radius * (cos * u - sin * v)
        y = self.y + self.radius * (sin * u + cos * v)
        return Pose(x, y, self.radius * radius, self.angle + angle, stretch, self.mirrored)


def _window(pose: Pose, size: int) -> tuple[int, int, int, int]:
    """Pixels x1, y1, x2, y2 (half open) that the part may touch, cut at the image's edge."""
    reach = pose.radius * max(pose.stretch, 1.0) * 1.5 + 1
    low = [max(int(centre - reach), 0) for centre in (pose.x, pose.y)]
    high = [min(int(centre + reach) + 2, size) for centre in (pose.x, pose.y)]
    return low[0], low[1], high[0], high[1]


def _local_coordinates(pose: Pose, window: tuple[int, int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates u, v of the pixel centres of a window in the frame of the part."""
    x1, y1, x2, y2 = window
    dx = (np.arange(x1, x2, dtype=np.float32) + 0.5 - pose.x)[None, :]
    dy = (np.arange(y1, y2, dtype=np.float32) + 0.5 - pose.y)[:, None]
    cos, sin = np.cos(pose.angle), np.sin(pose.angle)
    across = -pose.radius * pose.stretch if pose.mirrored else pose.radius * pose.stretch
    return (cos * dx + sin * dy) / across, (cos * dy - sin * dx) / pose.radius


def colours(rng: np.random.Generator, kind: PartType) -> tuple[np.ndarray, np.ndarray]:
    """First and second colour of one instance, jittered in hue, saturation and value."""
    hue = kind.hue + rng.normal(0, 0.02)
    saturation, value = kind.saturation + rng.normal(0, 0.1), kind.value + rng.normal(0, 0.1)
    return rgb(hue, saturation, value), rgb(hue, 0.15, kind.tone + rng.normal(0, 0.05))


def paint(image: np.ndarray, kind: PartType, pose: Pose, rng: np.random.Generator) -> np.ndarray:
    """Paint one part on ``image`` [H,H,3] float32 in place.

    Returns its box x1, y1, x2, y2 in pixels, half open, int64, cut at the image's edge; a part wholly
    outside the image has an empty box (x2 <= x1 or y2 <= y1).
    """
    window = _window(pose, image.shape[0])
    x1, y1, x2, y2 = window
    if x2 <= x1 or y2 <= y1:
        return np.zeros(4, dtype=np.int64)
    u, v = _local_coordinates(pose, window)
    cover = np.clip(SHAPES[kind.shape](u, v) * pose.radius + 0.5, 0, 1)
    first, second = colours(rng, kind)
    blend = PATTERNS[kind.pattern](u, v)[..., None].astype(np.float32)
    patch = image[y1:y2, x1:x2]
    patch += cover[..., None].astype(np.float32) * (second + blend * (first - second) - patch)
    return _covered_box(cover >= 0.5, x1, y1)


def _covered_box(covered: np.ndarray, x1: int, y1: int) -> np.ndarray:
    """Box of the true pixels of a window whose first pixel is x1, y1."""
    columns, rows = np.flatnonzero(covered.any(axis=0)), np.flatnonzero(covered.any(axis=1))
    if len(columns) == 0:
        return np.zeros(4, dtype=np.int64)
    return np.array([x1 + columns[0], y1 + rows[0], x1 + columns[-1] + 1, y1 + rows[-1] + 1])


def union_box(boxes: list[np.ndarray]) -> np.ndarray:
    """Smallest box that holds all non-empty boxes."""
    stacked = np.stack([box for box in boxes if box[2] > box[0] and box[3] > box[1]])
    return np.concatenate([stacked[:, :2].min(axis=0), stacked[:, 2:].max(axis=0)])


def photograph(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Contrast, brightness and pixel noise of one exposure; returns uint8 [3,H,W]."""
    exposed = (image - 0.5) * rng.uniform(0.7, 1.1) + 0.5 + rng.uniform(-0.1, 0.1)
    exposed += rng.uniform(0.01, 0.06) * rng.standard_normal(image.shape, dtype=np.float32)
    pixels: np.ndarray = np.rint(np.clip(exposed, 0, 1) * 255).astype(np.uint8).transpose(2, 0, 1)
    return pixels
