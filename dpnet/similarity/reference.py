"""The definition in plain PyTorch: stores the whole similarity [B, P, R], forward and backward."""

from __future__ import annotations

import torch

EPSILON = 1e-12
"""Smallest norm that a part is divided by, as in `torch.nn.functional.normalize`."""


def accumulation_dtype(dtype: torch.dtype) -> torch.dtype:
    """float64 for float64, float32 for everything else."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def accumulated(parts: torch.Tensor) -> torch.Tensor:
    """Parts in the accumulation dtype, rows one after the other in memory: the same tensor where they are."""
    dtype = accumulation_dtype(parts.dtype)
    if parts.dtype == dtype and parts.is_contiguous():
        return parts
    return parts.detach().to(dtype).contiguous()


def unit_parts(parts: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Parts divided by their norm [P, d], and that norm [P, 1], in the accumulation dtype."""
    parts = parts.to(accumulation_dtype(parts.dtype))
    norm = torch.linalg.vector_norm(parts, dim=1, keepdim=True).clamp_min(EPSILON)
    return parts / norm, norm


def similarity(parts: torch.Tensor, regions: torch.Tensor) -> torch.Tensor:
    """S = Û X, [B, P, R], multiplied in the dtype of the regions and returned in the accumulation dtype."""
    unit, _ = unit_parts(parts)
    product = unit.to(regions.dtype) @ regions.transpose(1, 2)
    return product.to(accumulation_dtype(regions.dtype))


def obstacle(device: str, dtype: torch.dtype) -> str:
    """Nothing keeps PyTorch's own operations from running: ""."""
    return ""


def forward(
    parts: torch.Tensor, regions: torch.Tensor, temperature: float | None
) -> tuple[torch.Tensor, ...]:
    """Scores [B, P], argmax [B, P], entropy [B, R] and log-partition [B, R]; the last two empty without τ."""
    product = similarity(parts, regions)
    scores, argmax = product.max(dim=2)
    if temperature is None:
        return scores, argmax.int(), product.new_empty(0), product.new_empty(0)
    log_partition = (product / temperature).logsumexp(dim=1)
    log_share = product / temperature - log_partition.unsqueeze(1)
    entropy = -(log_share.exp() * log_share).sum(dim=1)
    return scores, argmax.int(), entropy, log_partition


def backward(
    grad_scores: torch.Tensor | None,
    grad_entropy: torch.Tensor | None,
    parts: torch.Tensor,
    regions: torch.Tensor,
    argmax: torch.Tensor,
    entropy: torch.Tensor,
    log_partition: torch.Tensor,
    temperature: float | None,
    need_regions: bool,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Gradients of parts [P, d] and of regions [B, R, d] (empty unless asked for), in the inputs' dtypes."""
    grad = torch.zeros_like(similarity(parts, regions))
    if grad_scores is not None:
        grad.scatter_(2, argmax.long().unsqueeze(2), grad_scores.unsqueeze(2))
    if grad_entropy is not None and temperature is not None:
        log_share = similarity(parts, regions) / temperature - log_partition.unsqueeze(1)
        slope = -log_share.exp() * (log_share + entropy.unsqueeze(1)) / temperature
        grad += grad_entropy.unsqueeze(1) * slope
    unit, norm = unit_parts(parts)
    grad_unit = torch.einsum("bpr,brd->pd", grad, regions.to(grad.dtype))
    grad_parts = remove_radial(grad_unit, unit, norm).to(parts.dtype)
    if not need_regions:
        return grad_parts, grad_parts.new_empty(0)
    return grad_parts, (grad.transpose(1, 2) @ unit).to(regions.dtype)


def remove_radial(grad_unit: torch.Tensor, unit: torch.Tensor, norm: torch.Tensor) -> torch.Tensor:
    """Chain the gradient of unit parts to parts: drop what only changes the norm, divide by the norm."""
    return (grad_unit - (grad_unit * unit).sum(dim=1, keepdim=True) * unit) / norm
