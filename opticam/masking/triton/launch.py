"""The operations of ops.py on CUDA tensors, by Triton's kernels.

Imported only where Triton is there. Every kernel runs on the images' device and its current stream.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from opticam.masking.inputs import layout
from opticam.masking.triton import plans

HERE = nullcontext()


def on_device(tensor: Tensor) -> AbstractContextManager[None]:
    """Launches go to the current device: make that the tensor's."""
    if not tensor.is_cuda or tensor.get_device() == torch._C._cuda_getDevice():
        return HERE
    return torch.cuda.device(tensor.get_device())


def _dense(images: Tensor) -> tuple[Tensor, bool]:
    """Images without gaps, and whether they are channels_last."""
    if images.is_contiguous():
        return images, False
    images = images.contiguous(memory_format=layout(images))
    return images, layout(images) == torch.channels_last


def saliency_mask(
    features: Tensor, logits_u: Tensor, images: Tensor, normalization: str
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Two kernels: combine, then mask. Returns masked, saliency_map, weights, surface."""
    features, logits_u = features.contiguous(), logits_u.contiguous()
    images, last = _dense(images)
    dtypes = features.dtype, logits_u.dtype, images.dtype
    plan = plans.forward_plan(features.shape, images.shape, last, normalization, dtypes, images.device)
    combine, mask, *blanks = plan
    weights, surface, saliency_map = map(torch.empty_like, blanks)
    masked = torch.empty_like(images)
    if images.shape[0]:
        with on_device(images):
            combine(features, logits_u, weights, surface)
            mask(images, surface, masked, saliency_map)
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
    """Three kernels: pixels to rows of cells, rows to cells, cells to dL/du [B,K]."""
    gradient = torch.empty_like(weights)
    saved = grad_masked, grad_map, features, images, saliency_map, weights, surface, normalization
    _backward(*saved, gradient, (gradient,) * 4, None, False)
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
    counts: bool = False,
) -> None:
    """The same three kernels, the last of which takes one Adam step of logits_u in place instead.

    counts: add one to the iteration first, on the way.
    """
    saved = grad_masked, grad_map, features, images, saliency_map, weights, surface, normalization
    state = (logits_u, first_moment, second_moment, iteration)
    _backward(*saved, weights, state, (rate, beta1, beta2, epsilon), counts)


def _backward(
    grad_masked: Tensor | None,
    grad_map: Tensor | None,
    features: Tensor,
    images: Tensor,
    saliency_map: Tensor,
    weights: Tensor,
    surface: Tensor,
    normalization: str,
    gradient: Tensor,
    state: tuple[Tensor, Tensor, Tensor, Tensor],
    adam: tuple[float, float, float, float] | None,
    counts: bool,
) -> None:
    """The gradient itself, or, given the settings of Adam, one step of it on `state`."""
    if not weights.shape[0]:
        return
    features = features.contiguous()
    images, last = _dense(images)
    if grad_masked is not None and last:
        grad_masked = grad_masked.contiguous(memory_format=torch.channels_last)
    elif grad_masked is not None:
        grad_masked = grad_masked.contiguous()
    if grad_map is not None:
        grad_map = grad_map.contiguous()
    dtypes = features.dtype, state[0].dtype, images.dtype
    sizes = features.shape, images.shape, last, normalization, dtypes, images.device
    plan = plans.backward_plan(*sizes, grad_masked is not None, grad_map is not None, adam, counts)
    rows, cells, project, *blanks = plan
    partial, coarse, offset = map(torch.empty_like, blanks)
    with on_device(images):
        rows(
            images if grad_masked is None else grad_masked,
            saliency_map if grad_map is None else grad_map,
            images,
            saliency_map,
            partial,
        )
        cells(partial, surface, coarse, offset, state[3])
        project(features, weights, coarse, offset, gradient, *state)


def channel_masks(features: Tensor, images: Tensor, channels: Tensor) -> Tensor:
    """One kernel: a range-normalised mask per channel, times the image."""
    features, images, channels = features.contiguous(), images.contiguous(), channels.contiguous()
    batch, colours, height, width = images.shape
    count = channels.shape[1]
    masked = images.new_empty(batch, count, colours, height, width)
    if masked.numel():
        dtypes, device = (features.dtype, images.dtype, channels.dtype), images.get_device()
        with on_device(images):
            plan = plans.channel_plan(features.shape, images.shape, count, dtypes, device)
            plan(features, images, channels, masked)
    return masked


def step_masks(ranks: Tensor, images: Tensor, baseline: Tensor, steps: Tensor) -> Tensor:
    """One kernel: the image where the rank is below the step, else the baseline."""
    ranks, images, steps = ranks.contiguous(), images.contiguous(), steps.contiguous()
    batch, colours, height, width = images.shape
    count = steps.shape[0]
    chosen = images.new_empty(batch, count, colours, height, width)
    if chosen.numel():
        strides = baseline.expand_as(images).stride()
        dtypes, device = (ranks.dtype, images.dtype, steps.dtype), images.get_device()
        with on_device(images):
            plan = plans.step_plan(images.shape, count, strides, dtypes, device)
            plan(ranks, images, baseline, steps, chosen)
    return chosen
