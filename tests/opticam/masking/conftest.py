"""Inputs, and the masking step written out in NumPy float64 from its definition, for the tests beside this file."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from opticam.masking import ops

needs_cpp = pytest.mark.skipif(bool(ops.CPP_REASON), reason=ops.CPP_REASON or "built")


@dataclass(frozen=True)
class Shape:
    """Sizes of one case; its text is the test's id."""

    batch: int
    channels: int
    cells: tuple[int, int]
    colours: int
    pixels: tuple[int, int]

    def __str__(self) -> str:
        sizes = "x".join(map(str, (self.channels, *self.cells)))
        return f"{self.batch}*{sizes}to{self.colours}x{self.pixels[0]}x{self.pixels[1]}"


SHAPES = [
    Shape(3, 63, (7, 5), 3, (101, 67)),
    Shape(2, 130, (14, 14), 3, (56, 61)),
    Shape(1, 9, (1, 6), 1, (1, 33)),
    Shape(2, 300, (6, 1), 4, (40, 3)),
    Shape(2, 5, (1, 1), 2, (9, 8)),
    Shape(2, 17, (23, 19), 3, (11, 13)),
]


@pytest.fixture(params=SHAPES, ids=str)
def shape(request) -> Shape:
    return request.param


@pytest.fixture
def inputs():
    """Features, logits and images of a shape: `inputs(shape, dtype=..., shared=..., seed=...)`."""

    def make(shape: Shape, dtype=torch.float32, shared=False, seed=0):
        generator = torch.Generator().manual_seed(seed)
        batch = 1 if shared else shape.batch
        features = torch.randn(batch, shape.channels, *shape.cells, generator=generator).to(dtype)
        logits_u = 2 * torch.randn(shape.batch, shape.channels, generator=generator)
        images = torch.rand(shape.batch, shape.colours, *shape.pixels, generator=generator).to(dtype)
        return features, logits_u, images

    return make


def interpolation(cells: int, pixels: int) -> np.ndarray:
    """The matrix [pixels, cells] of linear interpolation with align_corners=False."""
    matrix = np.zeros((pixels, cells))
    for p in range(pixels):
        position = min(max((p + 0.5) * cells / pixels - 0.5, 0.0), cells - 1.0)
        first = int(np.floor(position))
        matrix[p, first] += 1 - (position - first)
        matrix[p, min(first + 1, cells - 1)] += position - first
    return matrix


@pytest.fixture
def definition():
    """(features, logits, images, normalization) -> masked, map in float64, by the formulas alone."""

    def compute(features, logits_u, images, normalization="range"):
        features, logits_u, images = (t.detach().double().numpy() for t in (features, logits_u, images))
        maps = []
        for b, u in enumerate(logits_u):
            a = features[b if len(features) > 1 else 0]
            weights = np.exp(u - u.max()) / np.exp(u - u.max()).sum()
            surface = sum(weight * channel for weight, channel in zip(weights, a))
            rows = interpolation(a.shape[1], images.shape[2])
            columns = interpolation(a.shape[2], images.shape[3])
            maps.append(normalized(rows @ surface @ columns.T, normalization))
        maps = np.stack(maps)
        return torch.from_numpy(images * maps[:, None]), torch.from_numpy(maps)

    return compute


def normalized(s: np.ndarray, normalization: str) -> np.ndarray:
    if normalization == "sigmoid":
        return 1 / (1 + np.exp(-s))
    if normalization == "max":
        return s / s.max()
    span = s.max() - s.min()
    return np.zeros_like(s) if span < 1e-12 * np.abs(s).max() else (s - s.min()) / span
