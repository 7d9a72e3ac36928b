"""What is timed: from a plain product down to a whole step of each kernel, all of it calls that only submit work."""

from __future__ import annotations

from collections.abc import Callable

import torch

from dpnet.similarity import chunked, part_similarity
from opticam.masking import MaskOptimizer, direct, saliency_mask
from opticam.masking.triton import plans

BATCH, CHANNELS, SIDE, PIXELS = 1, 16, 7, 32
PARTS, REGIONS, DEPTH = 8, 4, 8
TEMPERATURE = 0.1
Call = Callable[[], object]


def product_both_ways(learned: torch.Tensor, factor: torch.Tensor) -> None:
    """The least that a step with a gradient costs."""
    torch.autograd.grad(torch.mul(learned, factor), learned, factor)


def masking(device: str) -> dict[str, Call]:
    """Down to an iteration of Opti-CAM, one image."""
    features, images = (
        torch.rand(BATCH, *size, device=device) for size in ((CHANNELS, SIDE, SIDE), (3, PIXELS, PIXELS))
    )
    logits_u = torch.zeros(BATCH, CHANNELS, device=device)
    learned, gradient = logits_u.clone().requires_grad_(), torch.rand_like(images)
    kernels, operator = direct.kernels(), torch.ops.opticam.saliency_mask
    outputs = kernels.saliency_mask(features, logits_u, images, "range")
    masked, saliency_map, weights, surface = outputs
    dtypes = (torch.float32,) * 3
    mask = plans.forward_plan(features.shape, images.shape, False, "range", dtypes, images.device).mask
    optimizer = MaskOptimizer(features, images)

    def both_ways(function: Callable[..., tuple[torch.Tensor, ...]], *options: str) -> None:
        result = function(features, learned, images, *options)[0]
        torch.autograd.grad(result, learned, gradient)

    def iteration() -> None:
        optimizer.mask()
        optimizer.step(gradient)

    saved = features, images, saliency_map, weights, surface, "range"
    return {
        "torch.mul": lambda: torch.mul(images, gradient),
        "torch.mul, forward + backward": lambda: product_both_ways(learned, logits_u),
        "one launch": lambda: mask(images, surface, masked, saliency_map),
        "kernels, forward": lambda: kernels.saliency_mask(features, logits_u, images, "range"),
        "kernels, backward": lambda: kernels.saliency_mask_backward(gradient, None, *saved),
        "saliency_mask, forward": lambda: saliency_mask(features, logits_u, images),
        "saliency_mask, forward + backward": lambda: both_ways(saliency_mask),
        "operator, forward": lambda: operator(features, logits_u, images, "range"),
        "operator, forward + backward": lambda: both_ways(operator, "range"),
        "MaskOptimizer, mask + step": iteration,
    }


def similarity(device: str) -> dict[str, Call]:
    """Down to a training step's part similarity, by products in chunks, which run on every device."""
    parts = torch.rand(PARTS, DEPTH, device=device)
    regions = torch.rand(BATCH, REGIONS, DEPTH, device=device)
    learned, gradient = parts.clone().requires_grad_(), torch.rand(BATCH, PARTS, device=device)
    by_region = torch.rand(BATCH, REGIONS, device=device)
    operation, registered = torch.ops.dpnet_kernels.chunked_forward, torch.ops.dpnet.part_similarity

    def both_ways(temperature: float | None) -> None:
        scores, _, entropy = part_similarity(learned, regions, temperature, "chunked")
        if entropy is None:
            torch.autograd.grad(scores, learned, gradient)
        else:
            torch.autograd.grad((scores, entropy), learned, (gradient, by_region))

    return {
        "torch.mul": lambda: torch.mul(parts, parts),
        "torch.mul, forward + backward": lambda: product_both_ways(learned, parts),
        "kernels, forward": lambda: operation(parts, regions, None, chunked.WORKSPACE),
        "part_similarity, forward": lambda: part_similarity(parts, regions, None, "chunked"),
        "part_similarity, forward + backward": lambda: both_ways(None),
        "with entropy, forward": lambda: part_similarity(parts, regions, TEMPERATURE, "chunked"),
        "with entropy, forward + backward": lambda: both_ways(TEMPERATURE),
        "operator, forward": lambda: registered(parts, regions, None, "chunked"),
    }


STEPS = {"masking": masking, "part similarity": similarity}
