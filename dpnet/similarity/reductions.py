"""What is done to similarities held in memory, a few images [b, R, P] at a time: one CUDA kernel each, or PyTorch."""

from __future__ import annotations

import torch

from dpnet.similarity import library
from dpnet.similarity.reference import accumulation_dtype


def best_region(product: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Largest similarity of each part [b, P] in the accumulation dtype, and the region that reaches it, int32."""
    if library.has_kernel_for(product):
        best: tuple[torch.Tensor, torch.Tensor] = torch.ops.dpnet_kernels.best_region(product)
        return best
    scores, argmax = product.max(dim=1)
    return scores.to(accumulation_dtype(product.dtype)), argmax.int()


def assignment(product: torch.Tensor, temperature: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Entropy [b, R] of each region's softmax over parts, and its log-partition [b, R]."""
    if library.has_kernel_for(product):
        found: tuple[torch.Tensor, torch.Tensor] = torch.ops.dpnet_kernels.assignment(product, temperature)
        return found
    logits = product.to(accumulation_dtype(product.dtype)) / temperature
    log_partition = logits.logsumexp(dim=2)
    log_share = logits.sub_(log_partition.unsqueeze(2))
    return -(log_share.exp() * log_share).sum(dim=2), log_partition


def entropy_slope(
    product: torch.Tensor,
    grad_entropy: torch.Tensor,
    entropy: torch.Tensor,
    log_partition: torch.Tensor,
    temperature: float,
) -> torch.Tensor:
    """dL/dS [b, R, P] through the entropy, dH/dS_p = -π_p (log π_p + H) / τ, in the dtype of `product`."""
    weight = (grad_entropy / temperature).contiguous()
    if library.has_kernel_for(product):
        torch.ops.dpnet_kernels.entropy_slope_(product, weight, entropy, log_partition, temperature)
        return product
    log_share = product.to(weight.dtype) / temperature - log_partition.unsqueeze(2)
    slope = log_share.exp() * log_share.add_(entropy.unsqueeze(2)) * -weight.unsqueeze(2)
    return slope.to(product.dtype)


def add_at_best(slope: torch.Tensor, argmax: torch.Tensor, grad_scores: torch.Tensor) -> None:
    """Add the gradient of the scores to dL/dS [b, R, P] where each part found its best region, in place."""
    index = argmax.long().unsqueeze(1)
    slope.scatter_(1, index, slope.gather(1, index) + grad_scores.unsqueeze(1).to(slope.dtype))
