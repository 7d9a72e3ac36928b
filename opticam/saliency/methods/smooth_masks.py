"""Smooth masks from a coarse grid of parameters, by a smooth maximum over a disc."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from opticam.masking import upsample_map

COLDNESS = 20
"""Inverse temperature of the smooth maximum."""
STRIDE = 2
"""Pixels between the points where the smooth maximum is evaluated; in between it is interpolated."""


class SmoothMasks:
    """m(u) = smax_v k(u - v) p(v) over the cells v of a grid (Fong et al., ICCV 2019, section 3.2).

    smax f = sum f exp(c f) / sum exp(c f) with c = 20, and k(d) = exp(-2 max(0, |d| / sigma - 1/2)^2): a cell
    at one lifts a whole disc to one. Cells lie `step` pixels apart.
    size: (H, W) of the masks. step, sigma: pixels.
    """

    def __init__(self, size: tuple[int, int], step: int, sigma: float, like: torch.Tensor) -> None:
        self.size = size
        self.radius = 1 + math.ceil(sigma / step)
        self.grid = tuple(math.ceil(side / step) for side in size)
        rows, dy = self._neighbours(size[0], step, like)
        columns, dx = self._neighbours(size[1], step, like)
        self.cells = rows[:, None] * self.grid[1] + columns  # of each point, in the flattened grid
        distance = torch.hypot(dy[:, None, :, None], dx[None, :, None, :]) / sigma
        kernel = torch.exp(-2 * (distance - 0.5).clamp(min=0).square())
        self.cold_kernel = COLDNESS * kernel.flatten(2).flatten(0, 1)

    def __call__(self, parameters: torch.Tensor) -> torch.Tensor:
        """Masks [B,H,W] in [0,1] of parameters [B,h,w] in [0,1]; differentiable."""
        patches = F.unfold(parameters[:, None], 2 * self.radius + 1, padding=self.radius)
        first = patches.shape[2] * torch.arange(len(patches), device=patches.device)[:, None]
        # As a table of patches, whose gradient is summed row by row; that of an indexed tensor takes far longer.
        around = F.embedding(first + self.cells.flatten(), patches.mT.flatten(0, 1))
        smooth_maximum = _SmoothMaximum.apply(around * self.cold_kernel) / COLDNESS
        return upsample_map(smooth_maximum.unflatten(1, self.cells.shape), self.size)

    def _neighbours(self, side: int, step: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Along one axis: the cell [n] of each point, and the points' distances [n,2r+1] to the cells around."""
        points = torch.arange(math.ceil(side / STRIDE)).add(0.5).mul(side / math.ceil(side / STRIDE)).sub(0.5)
        cells = (points / step).floor().long()
        around = cells[:, None] + torch.arange(-self.radius, self.radius + 1)
        centres = around * step + (step - 1) / 2
        return cells.to(like.device), (points[:, None] - centres).to(like)


class _SmoothMaximum(torch.autograd.Function):
    """sum f exp(f) / sum exp(f) over the last axis, of f in [0, c]: no exponential is too large for float32."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor) -> torch.Tensor:
        weights = values.exp()
        total = weights.sum(-1)
        found: torch.Tensor = torch.linalg.vecdot(weights, values) / total
        ctx.save_for_backward(values, weights, total, found)
        return found

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        values, weights, total, found = ctx.saved_tensors
        slope: torch.Tensor = (values - (found - 1)[..., None]) * weights / total[..., None]
        return slope * gradient[..., None]
