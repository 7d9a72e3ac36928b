"""Runs every Triton kernel of the masking step once on small odd shapes, for compute-sanitizer to watch.

PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --tool memcheck python -m reproduce.benchmarks.masking.sanitize
"""

from __future__ import annotations

import torch

from opticam.masking import MaskOptimizer, channel_masks, saliency_mask, step_masks
from opticam.masking.reference import NORMALIZATIONS


def main() -> None:
    """Launch each kernel, then wait for the GPU; compute-sanitizer reports what went wrong."""
    for channels, h, w, height, width in ((63, 7, 5, 101, 67), (9, 1, 6, 1, 33), (17, 13, 9, 11, 7)):
        features = torch.randn(2, channels, h, w, device="cuda")
        images = torch.rand(2, 3, height, width, device="cuda")
        for normalization in NORMALIZATIONS:
            logits_u = torch.zeros(2, channels, device="cuda", requires_grad=True)
            masked, saliency_map = saliency_mask(features, logits_u, images, normalization)
            torch.autograd.grad(masked.sum() + saliency_map.square().sum(), logits_u)
        channel_masks(features, images, [0, channels - 1])
        ranks = torch.arange(height * width, device="cuda").view(1, height, width).expand(2, -1, -1)
        step_masks(ranks, images, torch.zeros(1, device="cuda"), [0, 5, height * width])
        optimizer = MaskOptimizer(features, images)
        optimizer.step(torch.rand_like(optimizer.mask()))
    torch.cuda.synchronize()
    print("every kernel of the masking step ran")


if __name__ == "__main__":
    main()
