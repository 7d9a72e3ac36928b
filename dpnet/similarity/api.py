"""The public function: plain tensors take the short way, all others the registered operation."""

from __future__ import annotations

import torch

from dpnet.similarity import direct
from dpnet.similarity.backends import gives_gradient
from dpnet.similarity.inputs import check
from dpnet.similarity.ops import part_similarity_op
from opticam.masking.plain import is_plain, refuse_tangent


def part_similarity(
    parts: torch.Tensor,
    regions: torch.Tensor,
    temperature: float | None = None,
    backend: str = "auto",
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
    """Score every part by its best region, and every region by the entropy of its choice of a part.

    With unit parts û_p = u_p / ‖u_p‖ and S = Û X of each image (DP-Net, the part layer), the score of a part
    is max_r S_pr and the entropy of a region is -Σ_p π_p log π_p, π = softmax over parts of S / temperature
    (the terms of C_Assign).

    Args:
        parts: U, [P, d]; need not have unit rows.
        regions: X, [B, R, d], R >= 1; used as given, so normalise them first if cosines are wanted.
        temperature: τ of the softmax over parts, 1.2e-38 to 8.5e37, or None when no entropy is wanted.
        backend: "auto", or one of `dpnet.similarity.BACKENDS`; one asked for by name raises if it cannot run.

    Returns:
        scores [B, P]; argmax [B, P], int32, the lowest region index that reaches the score (a NaN counts as
        the largest); entropy [B, R] in nats, between 0 and log P up to rounding, or None; where S / temperature is
        beyond 1e9 (float64: 1e18), all backends but "eager" may give NaN or any number. Scores and entropy are
        float64 when both inputs are, else float32; products are taken in the dtype of `regions`, or, of float32,
        as inexactly as TF32 where PyTorch is told that it may (`torch.set_float32_matmul_precision("high")`).
        Differentiable once, backward, in `parts` and `regions`, through scores (to the argmax region alone) and
        entropy.

    Raises:
        TypeError: an input is no floating tensor of a supported dtype, or only one of them is float64.
        ValueError: shapes or devices do not fit, P, R or d is 0, temperature is out of range, or the
            backend is unknown.
        RuntimeError: the backend asked for by name cannot run on these inputs; the message says why. Or a gradient
            is differentiated again, or taken by `torch.func.grad` and its kin.
        NotImplementedError: an input has a tangent of forward-mode differentiation.
    """
    if is_plain(parts, regions):
        return direct.part_similarity(parts, regions, temperature, backend)
    check(parts, regions, temperature, backend)
    refuse_tangent("parts", parts)
    refuse_tangent("regions", regions)
    trains = torch.is_grad_enabled() and (parts.requires_grad or regions.requires_grad)
    only_parts = trains and not regions.requires_grad
    with_gradient = temperature is not None and only_parts and gives_gradient(backend, parts, regions)
    scores, argmax, entropy, *_ = part_similarity_op(
        parts, regions, temperature, backend, trains, with_gradient, reuse_gradient=True
    )
    return scores, argmax, None if temperature is None else entropy
