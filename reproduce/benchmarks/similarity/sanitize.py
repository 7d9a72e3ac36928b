"""Runs every CUDA kernel of part similarity once on small odd shapes, for compute-sanitizer to watch.

PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer --tool memcheck python -m reproduce.benchmarks.similarity.sanitize
"""

from __future__ import annotations

import torch

from dpnet.similarity import part_similarity
from reproduce.benchmarks.similarity.cases import PRECISIONS

SHAPES = ((129, 3, 49, 63), (7, 2, 1, 40), (40, 1, 300, 136), (130, 5, 37, 72))


def main() -> None:
    """Launch each kernel, then wait for the GPU; compute-sanitizer reports what went wrong."""
    for parts, batch, regions, depth in SHAPES:
        u = torch.randn(parts, depth, device="cuda", requires_grad=True)
        for dtype in (torch.float32, torch.bfloat16, torch.float16):
            x = torch.randn(batch, regions, depth, device="cuda").to(dtype).requires_grad_()
            for backend in ("cuda", "chunked"):
                for temperature in (None, 0.5):
                    for precision in PRECISIONS[:2] if dtype == torch.float32 else PRECISIONS[:1]:
                        with precision.active():
                            scores, _, entropy = part_similarity(u, x, temperature, backend)
                            loss = scores.sum() + (0 if entropy is None else entropy.sum())
                            torch.autograd.grad(loss, (u, x))
    torch.cuda.synchronize()
    print("every kernel of part similarity ran")


if __name__ == "__main__":
    main()
