"""What the similarity benchmark runs: shapes of DP-Net and of prototype networks, dtypes, inputs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch.nn.functional import normalize

TEMPERATURE = 0.07


@dataclass(frozen=True)
class Shape:
    """Sizes of one layer: images B (fewer on a CPU where noted), regions R, parts P, depth d."""

    name: str
    images: int
    cpu_images: int
    regions: int
    parts: int
    depth: int

    def on(self, device: str) -> tuple[int, int, int, int]:
        """B, R, P, d on a device."""
        images = self.cpu_images if device == "cpu" else self.images
        return images, self.regions, self.parts, self.depth


SHAPES = (
    Shape("MIT RN50 7x7", 64, 64, 49, 670, 2048),
    Shape("CUB RN50 7x7", 64, 64, 49, 2000, 2048),
    Shape("CUB RN50 14x14", 64, 16, 196, 2000, 2048),
    Shape("CUB VGG 14x14", 64, 64, 196, 2000, 512),
    Shape("prototypes 14x14", 80, 80, 196, 2000, 128),
    Shape("CUB multi-scale", 64, 4, 1015, 2000, 2048),
    Shape("ImageNet RN50 7x7", 256, 8, 49, 10000, 2048),
    Shape("ImageNet VGG 14x14", 256, 8, 196, 10000, 512),
)
QUICK = ("CUB VGG 14x14", "prototypes 14x14")


@dataclass(frozen=True)
class Precision:
    """How factors are stored and multiplied."""

    name: str
    dtype: torch.dtype
    tf32: bool
    tolerance: float  # of a score of unit vectors, against float64

    @contextmanager
    def active(self) -> Iterator[None]:
        """PyTorch's settings for float32 products, put back afterwards."""
        devices = (torch.backends.cuda.matmul, torch.backends.mkldnn.matmul)  # type: ignore[attr-defined]  # set at import
        before = [settings.fp32_precision for settings in devices]
        for settings in devices:
            settings.fp32_precision = "tf32" if self.tf32 else "ieee"
        try:
            yield
        finally:
            for settings, precision in zip(devices, before):
                settings.fp32_precision = precision


PRECISIONS = (  # of float32, TF32 is a permission: a CPU has none, and may multiply otherwise
    Precision("float32", torch.float32, False, 1e-5),
    Precision("tf32", torch.float32, True, 2e-3),
    Precision("bfloat16", torch.bfloat16, False, 1.5e-2),
)


def inputs(shape: Shape, precision: Precision, device: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Float32 parts [P, d] that want a gradient, and unit regions [B, R, d] in the precision's dtype."""
    images, regions, parts, depth = shape.on(device)
    generator = torch.Generator(device).manual_seed(0)
    x = torch.randn(images, regions, depth, generator=generator, device=device)
    u = torch.randn(parts, depth, generator=generator, device=device)
    return u.requires_grad_(), normalize(x, dim=2).to(precision.dtype)
