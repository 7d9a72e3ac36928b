"""Smooth masks from a coarse grid of parameters, by a smooth maximum over a disc."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch.nn import functional as F

from opticam.masking import upsample_map
from opticam.masking.plain import differentiable_once

COLDNESS = 20
"""Inverse temperature of the smooth maximum."""
STRIDE = 2
"""Most pixels between the points where the smooth maximum is evaluated; in between it is interpolated."""


class SmoothMasks:
    """m(u) = smax_v k(u - v) p(v) over the cells v of a grid (Fong et al., ICCV 2019, section 3.2).

    smax f = sum f exp(c f) / sum exp(c f) with c = 20, and k(d) = exp(-2 max(0, |d| / sigma - 1/2)^2): a cell
    at one lifts a whole disc to one. Cells lie at every `step`-th pixel from the first on, and a point sees those
    of its own square and the `radius` around it. In each square the same points are evaluated.
    size: (H, W) of the masks. step, sigma: pixels.
    """

    def __init__(self, size: tuple[int, int], step: int, sigma: float, like: torch.Tensor) -> None:
        self.size, self.step = size, step
        self.radius = 1 + math.ceil(sigma / step)
        self.grid = tuple(math.ceil(side / step) for side in size)
        self.points = math.ceil(step / STRIDE)  # of a cell along one axis
        points = torch.arange(self.points).add(0.5).mul(step / self.points).sub(0.5)
        cells = torch.arange(-self.radius, self.radius + 1) * step
        along = (points - cells[:, None]).to(like)
        distance = torch.hypot(along[:, None, :, None], along[None, :, None, :]) / sigma
        kernel = torch.exp(-2 * (distance - 0.5).clamp(min=0).square())
        self.cold_kernel = COLDNESS * kernel.flatten(2).flatten(0, 1)  # [cells around, points of a cell]

    def __call__(self, parameters: torch.Tensor) -> torch.Tensor:
        """Masks [B,H,W] in [0,1] of parameters [B,h,w] in [0,1]; differentiable."""
        around = F.unfold(parameters[:, None], 2 * self.radius + 1, padding=self.radius)
        smooth_maximum = _SmoothMaximum.apply(around, self.cold_kernel) / COLDNESS
        points = F.pixel_shuffle(smooth_maximum.unflatten(2, self.grid), self.points)
        whole = upsample_map(points[:, 0], [side * self.step for side in self.grid])
        return whole[:, : self.size[0], : self.size[1]]


class _SmoothMaximum(torch.autograd.Function):
    """sum f exp(f) / sum exp(f) over the cells around, f = c k p in [0, c]: no exponential is too large for float32.

    Of parameters p [B,K,L] around each of L cells and a kernel c k [K,S] at S points: [B,S,L].
    """

    @staticmethod
    def forward(ctx: Any, around: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
        values = around[:, :, None] * kernel[..., None]
        weights = values.exp()
        total = weights.sum(1)
        found = (weights * values).sum(1) / total
        ctx.save_for_backward(values, weights, total, found, kernel)
        return found

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        values, weights, total, found, kernel = ctx.saved_tensors
        scale = gradient / total
        slope = torch.addcmul(((1 - found) * scale)[:, None], values, scale[:, None]).mul_(weights)
        return (kernel[:, None] @ slope).squeeze(2), None
