"""The gradient of the fused step in closed form, in plain PyTorch: what each backward kernel computes.

With g = dL/dn at each pixel and n = (s - m) / (M - m): dL/ds = g / (M - m), plus at the pixel of the
minimum sum g (n - 1) / (M - m) and at the pixel of the maximum -sum g n / (M - m). Upsampling is linear, so
its adjoint brings dL/ds to [h,w]; a product with the features and the derivative of softmax end the chain.
"""

from __future__ import annotations

import torch
from torch import Tensor

from opticam.masking.reference import is_constant, upsample_map


def saliency_mask_backward(
    grad_masked: Tensor | None,
    grad_map: Tensor | None,
    features: Tensor,
    images: Tensor,
    saliency_map: Tensor,
    weights: Tensor,
    surface: Tensor,
    normalization: str,
) -> Tensor:
    """dL/du [B,K] from the gradients of both outputs, either of which may be absent."""
    pixel = torch.zeros_like(saliency_map) if grad_map is None else grad_map.to(saliency_map.dtype)
    if grad_masked is not None:
        pixel = pixel + (grad_masked.to(pixel.dtype) * images.to(pixel.dtype)).sum(1)
    pixel = _through_normalization(pixel, saliency_map, surface, normalization)
    coarse = _upsample_adjoint(pixel, surface.shape[1:])
    grad_weights = torch.matmul(features.to(coarse.dtype).flatten(2), coarse.flatten(1).unsqueeze(2)).squeeze(
        2
    )
    return weights * (grad_weights - (weights * grad_weights).sum(1, keepdim=True))


def _through_normalization(grad: Tensor, saliency_map: Tensor, surface: Tensor, normalization: str) -> Tensor:
    """dL/ds [B,H,W] from dL/dn, with the terms through the minimum and the maximum."""
    if normalization == "sigmoid":
        return grad * saliency_map * (1 - saliency_map)
    upsampled = upsample_map(surface, saliency_map.shape[1:]).flatten(1)
    high, at_high = upsampled.max(dim=1, keepdim=True)
    low, at_low = upsampled.min(dim=1, keepdim=True)
    if normalization == "max":
        low = torch.zeros_like(high)
    constant = is_constant(low, high, normalization)
    span = torch.where(constant, 1, high - low)
    grad, values = grad.flatten(1), saliency_map.flatten(1)
    result = (grad / span).scatter_add(1, at_high, -(grad * values).sum(1, keepdim=True) / span)
    if normalization == "range":
        result = result.scatter_add(1, at_low, (grad * (values - 1)).sum(1, keepdim=True) / span)
    return torch.where(constant, 0, result).view_as(saliency_map)


def _upsample_adjoint(grad: Tensor, size: torch.Size) -> Tensor:
    """The transpose of `upsample_map`: [B,H,W] -> [B,h,w]."""
    batch, height, width = grad.shape
    coarse: Tensor = torch.ops.aten.upsample_bilinear2d_backward(
        grad.unsqueeze(1), [height, width], [batch, 1, *size], False
    )
    return coarse.squeeze(1)
