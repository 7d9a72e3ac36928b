"""The C++ implementation for the CPU: tiles of similarities that are reduced while they are in cache.

On a processor with AVX512-VNNI, products of 16-bit whole numbers cost half as much as float32's. Scores alone, of any
regions but float64, come from a screen: such products bound every similarity, and float32 decides among the regions
that may be the best (`screened_forward.cpp`). Beside an entropy they are the similarities, and make the entropy's
gradient, of regions of half precision, and of float32 ones where `allows_tf32()`: runs of 128 elements are scaled to
what 32 bits can sum. The error is relative to the largest element of a run, TF32's to each; of elements of like size
it is the smaller.
"""

from __future__ import annotations

import torch

from dpnet.similarity import library
from dpnet.similarity.reference import accumulated

PRODUCTS_FROM_DEPTH = {False: 1024, True: 256}
"""From this depth on, products of bfloat16 and a reduction are taken where the processor has it; True: where entropies
have a gradient. With AVX512-BF16 they were 0.9 to 1.35 and 1.0 to 1.9 times as fast as the loops (two processors), with
AMX 0.8 to 4.5 times."""


def obstacle(device: str, dtype: torch.dtype) -> str:
    """Why the loops cannot run here on this type of device, or ""; every dtype will do."""
    return library.LOAD_ERROR if device == "cpu" else f"it runs on cpu, not on {device}"


def is_faster(parts: torch.Tensor, regions: torch.Tensor, trains_entropy: bool) -> bool:
    """Whether the loops are expected to beat `chunked`: not in bfloat16 at some depth where the processor has it."""
    deep = regions.dtype == torch.bfloat16 and parts.shape[1] >= PRODUCTS_FROM_DEPTH[trains_entropy]
    return not deep or not torch.cpu._is_avx512_bf16_supported()


def allows_tf32() -> bool:
    """Whether PyTorch may multiply float32 on the CPU less exactly, `set_float32_matmul_precision("high")`."""
    return torch.backends.mkldnn.matmul.fp32_precision in ("tf32", "bf16")  # type: ignore[attr-defined]  # set at import


def forward(
    parts: torch.Tensor, regions: torch.Tensor, temperature: float | None
) -> tuple[torch.Tensor, ...]:
    """As `reference.forward`, never storing the similarities."""
    kernel = torch.ops.dpnet_kernels.forward
    found: tuple[torch.Tensor, ...] = kernel(accumulated(parts), regions, temperature, allows_tf32())
    return found


def makes_gradient(parts: torch.Tensor, regions: torch.Tensor) -> bool:
    """Whether forward can make the entropies' gradient: always."""
    return True


def forward_with_gradient(
    parts: torch.Tensor, regions: torch.Tensor, temperature: float
) -> tuple[torch.Tensor, ...]:
    """As `forward`, and the parts' gradient [P, d] of the sum of all entropies, from the same similarities."""
    kernel = torch.ops.dpnet_kernels.forward_gradient
    found: tuple[torch.Tensor, ...] = kernel(accumulated(parts), regions, temperature, allows_tf32())
    return found


def join_scores(
    gradient: torch.Tensor,
    kept: torch.Tensor,
    grad_scores: torch.Tensor,
    parts: torch.Tensor,
    regions: torch.Tensor,
    argmax: torch.Tensor,
) -> None:
    """In place: gradient [P, d] = kept * gradient + the parts' gradient through the scores; kept is one number."""
    torch.ops.dpnet_kernels.join_argmax_(
        gradient, float(kept), grad_scores.contiguous(), accumulated(parts), regions, argmax
    )


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
    """As `reference.backward`, never storing the similarities; the same bits on every run."""
    wide = accumulated(parts)
    if grad_entropy is None:
        assert grad_scores is not None  # there is one of the two
        grads = torch.ops.dpnet_kernels.backward_argmax(
            grad_scores.contiguous(), wide, regions, argmax, need_regions
        )
    else:
        grad_scores = None if grad_scores is None else grad_scores.contiguous()
        grads = torch.ops.dpnet_kernels.backward_entropy(
            grad_scores,
            grad_entropy.contiguous(),
            wide,
            regions,
            argmax,
            entropy,
            log_partition,
            temperature,
            need_regions,
        )
    return grads[0].to(parts.dtype), grads[1].to(regions.dtype)
