"""What the masking benchmark runs: shapes, operations, implementations, and the bytes that each must move."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from opticam.masking import channel_masks, reference, saliency_mask, step_masks

PIXELS, COLOURS, CHANNELS, STEPS = 224, 3, 16, 8
BATCHES = {"cpu": (1, 8, 16, 64), "cuda": (1, 8, 64, 256)}
QUICK_BATCHES = {"cpu": (1, 16), "cuda": (1, 64)}
DTYPES = {"cpu": (torch.float32,), "cuda": (torch.float32, torch.bfloat16)}
Call = Callable[[], tuple[Tensor, ...]]


@dataclass(frozen=True)
class Shape:
    """The feature map of a network's target layer: K channels of side x side cells."""

    name: str
    channels: int
    side: int


SHAPES = (Shape("ResNet-50", 2048, 7), Shape("VGG-16", 512, 14), Shape("ViT-B", 768, 14))


@dataclass(frozen=True)
class Inputs:
    """Tensors of one setting; `count` bytes are what the four operations read or write at least."""

    features: Tensor
    logits_u: Tensor
    images: Tensor
    grad_masked: Tensor
    ranks: Tensor
    channels: Tensor
    steps: Tensor

    def in_float64(self, images: int) -> Inputs:
        """The first images of them."""
        return Inputs(
            self.features[:images].double(),
            self.logits_u[:images].detach().double().requires_grad_(),
            self.images[:images].double(),
            self.grad_masked[:images].double(),
            self.ranks[:images],
            self.channels[:images],
            self.steps,
        )


def inputs(shape: Shape, batch: int, dtype: torch.dtype, device: str) -> Inputs:
    """Seeded random tensors: features and images in `dtype`, logits in float32."""
    generator = torch.Generator(device).manual_seed(0)

    def random(*size: int) -> Tensor:
        return torch.rand(size, generator=generator, device=device).to(dtype)

    order = torch.rand(batch, PIXELS * PIXELS, generator=generator, device=device).argsort(1)
    return Inputs(
        random(batch, shape.channels, shape.side, shape.side),
        torch.randn(batch, shape.channels, generator=generator, device=device).requires_grad_(),
        random(batch, COLOURS, PIXELS, PIXELS),
        random(batch, COLOURS, PIXELS, PIXELS),
        order.view(batch, PIXELS, PIXELS),
        torch.arange(CHANNELS, device=device).expand(batch, -1),
        torch.arange(STEPS, device=device) * (PIXELS * PIXELS // STEPS),
    )


def weighted_sum_mask(features: Tensor, logits_u: Tensor, images: Tensor) -> tuple[Tensor, Tensor]:
    """Eager, with the combination written as a product and a sum, as the papers' code has it."""
    weights = torch.softmax(logits_u.to(reference.compute_dtype(features, logits_u)), dim=1)
    surface = (weights[:, :, None, None] * features).sum(1)
    saliency_map = reference.upsample_and_normalize(surface, images.shape[2:])
    return (images * saliency_map.unsqueeze(1)).to(images.dtype), saliency_map


def mask_functions(compiled: bool) -> dict[str, Callable[..., tuple[Tensor, Tensor]]]:
    """Implementations of `saliency_mask` by name."""
    functions = {
        "eager (matmul)": reference.saliency_mask,
        "eager (weighted sum)": weighted_sum_mask,
        "ours": saliency_mask,
    }
    if compiled:
        functions["torch.compile"] = torch.compile(reference.saliency_mask, fullgraph=True, dynamic=False)
    return functions


def forward_calls(x: Inputs, compiled: bool) -> dict[str, Call]:
    """`saliency_mask` without a gradient."""

    def call(function: Callable[..., Any]) -> Call:
        return lambda: function(x.features, x.logits_u.detach(), x.images)

    return {name: call(function) for name, function in mask_functions(compiled).items()}


def training_calls(x: Inputs, compiled: bool) -> dict[str, Call]:
    """`saliency_mask` and the gradient with respect to logits_u of a loss on the masked images."""

    def call(function: Callable[..., Any]) -> Call:
        def run() -> tuple[Tensor, ...]:
            masked, saliency_map = function(x.features, x.logits_u, x.images)
            (gradient,) = torch.autograd.grad(masked, x.logits_u, x.grad_masked)
            return masked.detach(), saliency_map.detach(), gradient

        return run

    return {name: call(function) for name, function in mask_functions(compiled).items()}


def channel_calls(x: Inputs, compiled: bool) -> dict[str, Call]:
    """`channel_masks` of the first CHANNELS channels."""
    functions = {"eager": reference.channel_masks, "ours": channel_masks}
    if compiled:
        functions["torch.compile"] = torch.compile(reference.channel_masks, fullgraph=True, dynamic=False)

    def call(function: Callable[..., Any]) -> Call:
        return lambda: (function(x.features, x.images, x.channels),)

    return {name: call(function) for name, function in functions.items()}


def step_calls(x: Inputs, compiled: bool) -> dict[str, Call]:
    """`step_masks` at STEPS steps."""
    functions = {"eager": reference.step_masks, "ours": step_masks}
    if compiled:
        functions["torch.compile"] = torch.compile(reference.step_masks, fullgraph=True, dynamic=False)

    def call(function: Callable[..., Any]) -> Call:
        return lambda: (function(x.ranks, x.images, x.grad_masked, x.steps),)

    return {name: call(function) for name, function in functions.items()}


OPERATIONS: dict[str, Callable[[Inputs, bool], dict[str, Call]]] = {
    "saliency_mask forward": forward_calls,
    "saliency_mask forward + backward": training_calls,
    "channel_masks": channel_calls,
    "step_masks": step_calls,
}


def moved_bytes(operation: str, x: Inputs) -> int:
    """Bytes that `operation` must read and write if each tensor crosses memory once a pass that needs it."""
    image, features = _bytes(x.images), _bytes(x.features)
    saliency_map = x.images.shape[0] * PIXELS * PIXELS * 4
    forward = features + _bytes(x.logits_u) + 2 * image + saliency_map
    return {
        "saliency_mask forward": forward,
        "saliency_mask forward + backward": forward + features + 2 * image + _bytes(x.logits_u),
        "channel_masks": features * CHANNELS // x.features.shape[1] + image * (1 + CHANNELS),
        "step_masks": _bytes(x.ranks) + image * (2 + STEPS),
    }[operation]


def _bytes(tensor: Tensor) -> int:
    return tensor.numel() * tensor.element_size()
