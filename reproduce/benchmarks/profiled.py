"""Every kernel once in each precision at a size of its benchmark, for a profiler to look at: nothing is timed here.

    ncu --clock-control none --section SpeedOfLight -k 'regex:(combine|mask|reduce|slope|hopper|forward)_kernel' \\
        python -m reproduce.benchmarks.profiled [masking] [similarity] [--device cuda|cpu]
"""

from __future__ import annotations

import argparse
import itertools

import torch

from dpnet.model.constraints import assignment
from dpnet.similarity import part_similarity
from dpnet.similarity.backends import IMPLEMENTATIONS
from opticam.masking import channel_masks, saliency_mask, step_masks
from reproduce.benchmarks.masking import cases as masks
from reproduce.benchmarks.similarity import cases as products

IMAGES = 64
"""Masked at once."""


def masking(device: str) -> None:
    """ResNet-50's masks, forward and backward, and those of Score-CAM and insertion."""
    for dtype in masks.DTYPES[device]:
        case = masks.inputs(masks.SHAPES[0], IMAGES, dtype, device)
        masked, _ = saliency_mask(case.features, case.logits_u, case.images)
        torch.autograd.grad(masked, case.logits_u, case.grad_masked)
        channel_masks(case.features, case.images, case.channels)
        step_masks(case.ranks, case.images, torch.zeros(1, device=device).to(dtype), case.steps)


def similarity(device: str) -> None:
    """VGG's parts of CUB by every backend that runs here, with and without entropy, forward and backward."""
    shape = next(shape for shape in products.SHAPES if shape.name == products.QUICK[0])
    for precision in products.PRECISIONS:
        parts, regions = products.inputs(shape, precision, device)
        names = [
            name
            for name, way in IMPLEMENTATIONS.items()
            if name != "eager" and not way.obstacle(device, precision.dtype)
        ]
        for backend, temperature in itertools.product(names, (None, products.TEMPERATURE)):
            with precision.active():
                scores, _, entropy = part_similarity(parts, regions, temperature, backend)
                loss = scores.sum() + (0 if entropy is None else assignment(entropy))
                torch.autograd.grad(loss, parts)


STEPS = {"masking": masking, "similarity": similarity}


def main() -> None:
    """Run the steps that are named, or both, and wait for what was submitted."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("steps", nargs="*", metavar="STEP", help=f"of {', '.join(STEPS)}; all by default")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    options = parser.parse_args()
    if unknown := set(options.steps) - set(STEPS):
        parser.error(f"STEP: {', '.join(sorted(unknown))} is none of {', '.join(STEPS)}")
    for step in options.steps or STEPS:
        STEPS[step](options.device)
    if options.device == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
