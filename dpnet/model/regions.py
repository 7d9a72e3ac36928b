"""Regions of a feature map: where parts may be found, and the pixels each region stands for."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

SCHEMES = ("cells", "squares", "pyramid")
NORMS = ("none", "l2")


@dataclass(frozen=True)
class RegionScheme:
    """How a feature map is cut into regions; every region is the average of a k x k window, stride 1.

    ``name`` is "cells" (k = 1, every position), "squares" (every k that fits) or "pyramid" (the k listed in
    ``sizes``). ``x_norm`` "l2" makes every region a unit vector, "none" keeps the network's own magnitudes.
    The paper states neither its regions nor their normalisation; these are choices of this project.
    Raises ValueError for an unknown name or norm, for a pyramid without ``sizes``, and for ``sizes`` of another scheme.
    """

    name: str = "cells"
    sizes: tuple[int, ...] = ()
    x_norm: str = "l2"

    def __post_init__(self) -> None:
        if self.name not in SCHEMES:
            raise ValueError(f"name is {self.name!r}; accepted: {', '.join(SCHEMES)}")
        if self.x_norm not in NORMS:
            raise ValueError(f"x_norm is {self.x_norm!r}; accepted: {', '.join(NORMS)}")
        if self.name == "pyramid" and not self.sizes:
            raise ValueError("sizes is empty; a pyramid needs its window sizes, such as 1, 3 and 5")
        if self.name != "pyramid" and self.sizes:
            raise ValueError(f"sizes is {self.sizes!r} with scheme {self.name!r}; only a pyramid lists sizes")
        if any(size < 1 for size in self.sizes):
            raise ValueError(f"sizes is {self.sizes!r}; every window size must be at least 1")
        object.__setattr__(self, "sizes", tuple(self.sizes))

    def window_sizes(self, height: int, width: int) -> tuple[int, ...]:
        """The window sizes k used on a map of height x width cells; ValueError when one does not fit."""
        smallest = min(height, width)
        if self.name == "cells":
            return (1,)
        if self.name == "squares":
            return tuple(range(1, smallest + 1))
        if max(self.sizes) > smallest:
            raise ValueError(f"sizes {self.sizes} do not fit a feature map of {height} x {width} cells")
        return self.sizes

    def count(self, height: int, width: int) -> int:
        """Number of regions R on a map of height x width cells."""
        return sum((height - k + 1) * (width - k + 1) for k in self.window_sizes(height, width))

    def cell_boxes(self, height: int, width: int) -> Tensor:
        """Boxes in cells, int64 [R,4] as (x1, y1, x2, y2), ends exclusive, in the order of regions."""
        boxes = []
        for k in self.window_sizes(height, width):
            rows, columns = torch.meshgrid(
                torch.arange(height - k + 1), torch.arange(width - k + 1), indexing="ij"
            )
            x, y = columns.flatten(), rows.flatten()
            boxes.append(torch.stack([x, y, x + k, y + k], dim=1))
        return torch.cat(boxes)

    def boxes(
        self, height: int, width: int, image_size: tuple[int, int], grid: Tensor | None = None
    ) -> Tensor:
        """Boxes in image pixels, float32 [R,4] as (x1, y1, x2, y2), cut at the image's edge.

        On an even grid a window of k cells at row i, column j covers [j s, i s, (j + k) s, (i + k) s], where s
        is the image's (height, width) over the map's; another ``grid`` comes from `dpnet.data.geometry.cell_grid`.
        """
        edges = self.cell_boxes(height, width).float()
        if grid is not None:
            first, pitch = grid.cpu().repeat(2, 1).unbind(dim=1)
            edges = first + pitch * (edges - 0.5)
        cells, sides = torch.tensor([width, height] * 2), torch.tensor([*image_size[::-1]] * 2)
        return (edges * sides / cells).clamp(min=0).minimum(sides)

    def __call__(self, features: Tensor) -> Tensor:
        """Regions X [B,R,d] of feature maps [B,d,h,w], in the dtype of the features, rows one after the other."""
        if features.ndim != 4:
            raise ValueError(f"features has shape {tuple(features.shape)}; expected [B, d, h, w]")
        windows = [
            F.avg_pool2d(features, k, stride=1) if k > 1 else features
            for k in self.window_sizes(*features.shape[-2:])
        ]
        regions = torch.cat([window.flatten(2) for window in windows], dim=2).transpose(1, 2)
        regions = normalise_rows(regions) if self.x_norm == "l2" else regions
        return regions.contiguous()  # part similarity reads each row many times


def normalise_rows(vectors: Tensor) -> Tensor:
    """Unit vectors along the last dimension; half precisions are normalised in float32 and cast back."""
    if vectors.dtype in (torch.bfloat16, torch.float16):
        return F.normalize(vectors.float(), dim=-1).to(vectors.dtype)
    return F.normalize(vectors, dim=-1)
