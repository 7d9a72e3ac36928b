"""Textures: patterns in the frame of a part, and backgrounds of whole images.

A pattern takes local coordinates ``u, v`` in [-1, 1] and returns values in [0, 1] that blend two colours.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable
from functools import lru_cache

import numpy as np

Pattern = Callable[[np.ndarray, np.ndarray], np.ndarray]


def _sharpen(wave: np.ndarray) -> np.ndarray:
    """Turn a wave in [-1, 1] into two tones in [0, 1] with soft edges."""
    return np.clip(0.5 + 1.5 * wave, 0, 1)


def plain(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """One tone."""
    return np.ones_like(u)


def stripes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Stripes along v, three periods across."""
    return _sharpen(np.cos(3 * np.pi * u))


def checks(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Checkerboard."""
    return _sharpen(2 * np.sin(2.3 * np.pi * u) * np.sin(2.3 * np.pi * v))


def dots(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Dots on a square grid."""
    return _sharpen(0.3 - np.cos(2.6 * np.pi * u) - np.cos(2.6 * np.pi * v))


def circles(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Concentric circles."""
    return _sharpen(np.cos(3.2 * np.pi * np.hypot(u, v)))


def spokes(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Six sectors of alternating tone."""
    return _sharpen(np.cos(3 * np.arctan2(v, u)))


PATTERNS: dict[str, Pattern] = {
    pattern.__name__: pattern for pattern in (plain, stripes, checks, dots, circles, spokes)
}


def rgb(hue: float, saturation: float, value: float) -> np.ndarray:
    """Colour as float32 RGB in [0, 1]; the hue is taken modulo 1, the others are clipped to [0, 1]."""
    clipped = (min(max(channel, 0.0), 1.0) for channel in (saturation, value))
    return np.array(colorsys.hsv_to_rgb(hue % 1.0, *clipped), dtype=np.float32)


@lru_cache(maxsize=32)
def _interpolation(size: int, cells: int) -> np.ndarray:
    """Matrix [size, cells + 1] that interpolates linearly between the nodes of a grid."""
    position = np.arange(size, dtype=np.float32) * cells / size
    left = position.astype(int)
    matrix = np.zeros((size, cells + 1), dtype=np.float32)
    matrix[np.arange(size), left] = 1 - (position - left)
    matrix[np.arange(size), left + 1] = position - left
    return matrix


def smooth_noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Random field [size, size] in [0, 1], bilinear between ``cells`` x ``cells`` random cells."""
    weights = _interpolation(size, cells)
    field: np.ndarray = weights @ rng.random((cells + 1, cells + 1), dtype=np.float32) @ weights.T
    return field


def _wave(rng: np.random.Generator, size: int) -> np.ndarray:
    """Two crossed waves or one, of random direction, period and phase, in [0, 1]."""
    axis = np.arange(size, dtype=np.float32)
    angle, period, phase = rng.uniform(0, np.pi), rng.uniform(0.09, 0.3) * size, rng.uniform(0, 2 * np.pi)
    along = np.cos(angle) * axis[None, :] + np.sin(angle) * axis[:, None]
    wave = np.sin(2 * np.pi * along / period + phase)
    if rng.random() < 0.4:
        across = np.cos(angle) * axis[:, None] - np.sin(angle) * axis[None, :]
        wave = wave * np.sin(2 * np.pi * across / period)
    return _sharpen(wave)


def background(rng: np.random.Generator, size: int) -> np.ndarray:
    """Textured background [size, size, 3] in [0, 1]: noise at two scales, often with a regular pattern."""
    field = 0.6 * smooth_noise(rng, size, 3) + 0.4 * smooth_noise(rng, size, int(rng.integers(8, 24)))
    if rng.random() < 0.5:
        strength = rng.uniform(0.2, 0.7)
        field = (1 - strength) * field + strength * _wave(rng, size)
    hue = rng.random()
    first = rgb(hue, rng.uniform(0, 0.6), rng.uniform(0.15, 0.95))
    second = rgb(hue + rng.uniform(-0.25, 0.25), rng.uniform(0, 0.6), rng.uniform(0.15, 0.95))
    colours: np.ndarray = first + field[..., None].astype(np.float32) * (second - first)
    return colours
