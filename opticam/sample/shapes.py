"""Outlines of parts: depth functions on local coordinates, positive inside, zero on the edge.

A part lives in a square frame ``u, v`` in [-1, 1] (u to its right, v downwards, before rotation). A depth
function takes two arrays of coordinates and returns the approximate distance to the outline in the same
unit, so that a renderer can smooth the edge over one pixel at any size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Outline = Callable[[np.ndarray, np.ndarray], np.ndarray]


def disc(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Unit disc."""
    inside: np.ndarray = 1 - np.hypot(u, v)
    return inside


def square(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Square of half side 0.85, so that its area is close to the disc's."""
    inside: np.ndarray = 0.85 - np.maximum(np.abs(u), np.abs(v))
    return inside


def triangle(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Equilateral triangle inscribed in the unit circle, one corner upwards."""
    slant = np.sqrt(0.75)
    inside: np.ndarray = 0.5 - np.maximum(v, slant * np.abs(u) - 0.5 * v)
    return inside


def star(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Five-pointed star: the plane is folded onto half a point, which a straight edge bounds."""
    inner, half_point = 0.45, np.pi / 5
    fold = np.abs((np.arctan2(v, u) + half_point) % (2 * half_point) - half_point)
    radius = np.hypot(u, v)
    notch = inner * np.array([np.cos(half_point), np.sin(half_point)])
    normal = np.array([notch[1], 1 - notch[0]]) / np.hypot(notch[1], 1 - notch[0])
    inside: np.ndarray = normal[0] * (1 - radius * np.cos(fold)) - normal[1] * radius * np.sin(fold)
    return inside


def ring(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Ring between the radii 0.5 and 1."""
    inside: np.ndarray = 0.25 - np.abs(np.hypot(u, v) - 0.75)
    return inside


def crescent(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Unit disc without a smaller disc that is shifted to the right."""
    inside: np.ndarray = np.minimum(disc(u, v), np.hypot(u - 0.55, v) - 0.7)
    return inside


def cross(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Two crossed bars."""
    inside: np.ndarray = np.maximum(bar(u, v), bar(v, u))
    return inside


def flower(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Five petals."""
    inside: np.ndarray = 0.75 + 0.25 * np.cos(5 * np.arctan2(v, u)) - np.hypot(u, v)
    return inside


def bar(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Bar of length 2 and width 0.7."""
    inside: np.ndarray = np.minimum(1 - np.abs(u), 0.35 - np.abs(v))
    return inside


def half_disc(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """The part of the unit disc above a line just under its centre."""
    inside: np.ndarray = np.minimum(disc(u, v), 0.2 - v)
    return inside


SHAPES: dict[str, Outline] = {
    outline.__name__: outline
    for outline in (disc, square, triangle, star, ring, crescent, cross, flower, bar, half_disc)
}
