"""Smooth masks from a coarse grid of parameters, by a smooth maximum over a disc."""

from __future__ import annotations

import math

import torch
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
        self.kernel = torch.exp(-2 * (distance - 0.5).clamp(min=0).square()).flatten(0, 1)

    def __call__(self, parameters: torch.Tensor) -> torch.Tensor:
        """Masks [B,H,W] in [0,1] of parameters [B,h,w] in [0,1]; differentiable."""
        patches = F.unfold(parameters[:, None], 2 * self.radius + 1, padding=self.radius)
        lifted = patches[:, :, self.cells] * (COLDNESS * self.kernel)
        smooth_maximum = (lifted * lifted.softmax(1)).sum(1) / COLDNESS
        return upsample_map(smooth_maximum, self.size)

    def _neighbours(self, side: int, step: int, like: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Along one axis: the cell [n] of each point, and the points' distances [2r+1,n] to the cells around."""
        points = torch.arange(math.ceil(side / STRIDE)).add(0.5).mul(side / math.ceil(side / STRIDE)).sub(0.5)
        cells = (points / step).floor().long()
        around = cells + torch.arange(-self.radius, self.radius + 1)[:, None]
        centres = around * step + (step - 1) / 2
        return cells.to(like.device), (points - centres).to(like)
