"""Runs every CUDA kernel of part similarity once on small odd shapes, for compute-sanitizer to watch.

PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --tool memcheck python -m reproduce.benchmarks.similarity.sanitize
"""

from __future__ import annotations

import itertools

import torch

from dpnet.similarity import part_similarity
from dpnet.similarity.backends import IMPLEMENTATIONS, ON_GPU
from reproduce.benchmarks.similarity.cases import PRECISIONS

SHAPES = ((129, 3, 49, 63), (7, 2, 1, 40), (40, 1, 300, 136), (130, 5, 37, 72))


def main() -> None:
    """Launch each kernel, then wait for the GPU; compute-sanitizer reports what went wrong."""
    products = [(PRECISIONS[0], torch.float32), (PRECISIONS[1], torch.float32)]
    products += [(PRECISIONS[0], dtype) for dtype in (torch.bfloat16, torch.float16, torch.float64)]
    for (parts, batch, regions, depth), (precision, dtype) in itertools.product(SHAPES, products):
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        u = torch.randn(parts, depth, device="cuda", dtype=wide, requires_grad=True)
        x = torch.randn(batch, regions, depth, device="cuda").to(dtype).requires_grad_()
        with precision.active():
            runs = [
                name for name in ("chunked", *ON_GPU) if not IMPLEMENTATIONS[name].obstacle("cuda", dtype)
            ]
            for backend, temperature in itertools.product(runs, (None, 0.5)):
                scores, _, entropy = part_similarity(u, x, temperature, backend)
                loss = scores.sum() + (0 if entropy is None else entropy.sum())
                torch.autograd.grad(loss, (u, x))
    torch.cuda.synchronize()
    print("every kernel of part similarity ran")


if __name__ == "__main__":
    main()
