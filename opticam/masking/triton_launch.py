"""Launches the Triton kernels: the operations of schemas.py on CUDA tensors.

Imported only where Triton is there. Every kernel runs on the images' device and its current stream.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from opticam.masking import triton_backward, triton_config, triton_forward
from opticam.masking.layout import layout

MODES = {"range": 0, "max": 1, "sigmoid": 2}


def on_device(tensor: Tensor) -> AbstractContextManager:
    """Triton launches on the current device: make that the tensor's."""
    return torch.cuda.device(tensor.device) if tensor.is_cuda else nullcontext()


def strides(images: Tensor) -> dict[str, int]:
    """Elements between colours and between pixels of images in their layout."""
    colours, height, width = images.shape[1:]
    if layout(images) == torch.channels_last:
        return {"plane": 1, "step": colours}
    return {"plane": height * width, "step": 1}


def feature_step(features: Tensor) -> int:
    """Elements between the features of two images; 0 where one image's serve all."""
    return 0 if features.shape[0] == 1 else features.stride(0)


def saliency_mask(
    features: Tensor, logits_u: Tensor, images: Tensor, normalization: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two kernels: combine, then mask. Returns masked, saliency_map, weights, surface."""
    features, logits_u = features.contiguous(), logits_u.contiguous()
    images = images.contiguous(memory_format=layout(images))
    batch, colours, height, width = images.shape
    channels, h, w = features.shape[1:]
    weights = torch.empty(batch, channels, device=images.device)
    surface = torch.empty(batch, h, w, device=images.device)
    masked = torch.empty_like(images)
    saliency_map = torch.empty(batch, height, width, device=images.device)
    if batch == 0:
        return masked, saliency_map, weights, surface
    combine, mask = triton_config.combine(channels, h * w), triton_config.mask(h, w, batch)
    with on_device(images):
        triton_forward.combine_kernel[(batch, -(-h * w // combine["BLOCK_P"]))](
            features, logits_u, weights, surface, feature_step(features), K=channels, CELLS=h * w, **combine
        )
        triton_forward.mask_kernel[(batch, -(-height * width // mask["BLOCK"]))](
            images,
            surface,
            masked,
            saliency_map,
            **strides(images),
            C=colours,
            h=h,
            w=w,
            H=height,
            W=width,
            MODE=MODES[normalization],
            **mask,
        )
    return masked, saliency_map, weights, surface


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
    """Three kernels: pixels to intervals, intervals to cells, cells to dL/du [B,K]."""
    gradient = torch.empty_like(weights)
    if weights.shape[0] == 0:
        return gradient
    coarse, offset = _cell_gradient(grad_masked, grad_map, images, saliency_map, surface, normalization)
    _project(features, weights, coarse, offset, gradient, (gradient,) * 4, None)
    return gradient


def saliency_mask_adam_(
    logits_u: Tensor,
    first_moment: Tensor,
    second_moment: Tensor,
    iteration: Tensor,
    grad_masked: Tensor | None,
    grad_map: Tensor | None,
    features: Tensor,
    images: Tensor,
    saliency_map: Tensor,
    weights: Tensor,
    surface: Tensor,
    normalization: str,
    rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
) -> None:
    """The same three kernels, the last of which takes one Adam step of logits_u in place instead."""
    if weights.shape[0] == 0:
        return
    coarse, offset = _cell_gradient(grad_masked, grad_map, images, saliency_map, surface, normalization)
    state = (logits_u, first_moment, second_moment, iteration)
    _project(features, weights, coarse, offset, weights, state, (rate, beta1, beta2, epsilon))


def _cell_gradient(
    grad_masked: Tensor | None,
    grad_map: Tensor | None,
    images: Tensor,
    saliency_map: Tensor,
    surface: Tensor,
    normalization: str,
) -> tuple[Tensor, Tensor]:
    """dL/dS [B,h,w], and its product with S summed over cells [B]."""
    images = images.contiguous(memory_format=layout(images))
    batch, colours, height, width = images.shape
    h, w = surface.shape[1:]
    if grad_masked is not None:
        grad_masked = grad_masked.contiguous(memory_format=layout(images))
    if grad_map is not None:
        grad_map = grad_map.contiguous()
    partial = torch.empty(batch, h * w, 4, device=images.device)
    coarse, offset = torch.empty_like(surface), torch.empty(batch, device=images.device)
    shape = {"h": h, "w": w, "H": height, "W": width, "MODE": MODES[normalization]}
    with on_device(images):
        triton_backward.interval_kernel[(batch, h * w)](
            images if grad_masked is None else grad_masked,
            saliency_map if grad_map is None else grad_map,
            images,
            saliency_map,
            partial,
            **strides(images),
            HAS_MASKED=grad_masked is not None,
            HAS_MAP=grad_map is not None,
            C=colours,
            **shape,
            **triton_config.interval(h, w, height, width),
        )
        triton_backward.cell_kernel[(batch,)](
            partial, surface, coarse, offset, **shape, **triton_config.cell(h, w)
        )
    return coarse, offset


def _project(
    features: Tensor,
    weights: Tensor,
    coarse: Tensor,
    offset: Tensor,
    gradient: Tensor,
    state: tuple[Tensor, Tensor, Tensor, Tensor],
    settings: tuple[float, float, float, float] | None,
) -> None:
    """The gradient itself, or, given the settings of Adam, one step of it on `state`."""
    features = features.contiguous()
    batch, channels = weights.shape
    cells = coarse.shape[1] * coarse.shape[2]
    config = triton_config.project(cells)
    with on_device(weights):
        triton_backward.project_kernel[(batch, -(-channels // config["BLOCK_K"]))](
            features,
            weights,
            coarse,
            offset,
            gradient,
            *state,
            feature_step(features),
            **triton_config.adam(settings),
            K=channels,
            CELLS=cells,
            **config,
        )


def channel_masks(features: Tensor, images: Tensor, channels: Tensor) -> Tensor:
    """One kernel: a range-normalised mask a channel, times the image."""
    features, images, channels = features.contiguous(), images.contiguous(), channels.contiguous()
    batch, colours, height, width = images.shape
    count, (total, h, w) = channels.shape[1], features.shape[1:]
    masked = images.new_empty(batch, count, colours, height, width)
    if masked.numel() == 0:
        return masked
    config = triton_config.mask(h, w, batch * count)
    with on_device(images):
        triton_forward.channel_kernel[(batch * count, -(-height * width // config["BLOCK"]))](
            features,
            images,
            channels,
            masked,
            feature_step(features),
            count,
            K=total,
            C=colours,
            h=h,
            w=w,
            H=height,
            W=width,
            **config,
        )
    return masked


def step_masks(ranks: Tensor, images: Tensor, baseline: Tensor, steps: Tensor) -> Tensor:
    """One kernel: the image where the rank is below the step, else the baseline."""
    ranks, images, steps = ranks.contiguous(), images.contiguous(), steps.contiguous()
    batch, colours, height, width = images.shape
    chosen = images.new_empty(batch, steps.shape[0], colours, height, width)
    if chosen.numel() == 0:
        return chosen
    config = triton_config.step()
    with on_device(images):
        triton_forward.step_kernel[(batch * steps.shape[0], -(-height * width // config["BLOCK"]))](
            ranks,
            images,
            baseline,
            steps,
            chosen,
            steps.shape[0],
            *baseline.expand_as(images).stride(),
            C=colours,
            H=height,
            W=width,
            **config,
        )
    return chosen
