"""Part similarity against its definition in float64."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from tolerances import rounding
from torch.nn.functional import normalize

from dpnet import similarity
from fuzz_cases.tensors import DTYPES, Draw, sizes, tensor


@st.composite
def part_similarity(draw: Draw) -> str:
    """Scores, the region that reaches each, and entropies; gradients finite where the inputs are."""
    parts_count, batch, regions_count, depth = sizes(draw, 40, 3, 20, 40)
    regions = tensor(draw, (batch, regions_count, depth))
    wide = regions.dtype == torch.float64
    parts = tensor(draw, (parts_count, depth), (torch.float64,) if wide else DTYPES[:1] + DTYPES[2:])
    temperature = draw(st.sampled_from([None, 0.0, 0.05, 0.7, 3.0, float("nan")]))
    try:
        scores, argmax, entropy = similarity.part_similarity(parts, regions, temperature)
    except (ValueError, TypeError) as error:
        assert str(error).split()[0] in ("parts", "regions", "P,", "temperature"), error
        return "refused"
    assert scores.shape == argmax.shape == (batch, parts_count) and argmax.dtype == torch.int32
    assert not scores.numel() or ((argmax >= 0).all() and (argmax < regions_count).all())
    if not (parts.isfinite().all() and regions.isfinite().all()):
        return "not finite, indices in range"
    exact = normalize(parts.double(), dim=1) @ regions.double().mT
    coarse = torch.finfo(regions.dtype if regions.dtype != torch.float64 else torch.float64).eps
    largest = float(regions.double().norm(dim=2).max()) if regions.numel() else 0.0
    # Parts are made unit in float32 and taken to the regions' dtype; each product errs by that much of its size.
    allowed = 4 * coarse * largest + 2 * rounding(exact, depth, scores.dtype, least=largest)
    if scores.numel():
        assert (scores.double() - exact.amax(2)).abs().max() <= allowed
        reached = exact.gather(2, argmax.long().unsqueeze(2)).squeeze(2)
        assert (reached - exact.amax(2)).abs().max() <= 2 * allowed
    if temperature is not None:
        assert entropy.shape == (batch, regions_count) and entropy.isfinite().all()
        _check_entropy(entropy, exact, temperature, allowed)
    return "as the reference"


def _check_entropy(entropy: torch.Tensor, exact: torch.Tensor, temperature: float, allowed: float) -> None:
    """Shifting every score by `error` changes no entropy by more than 2 error / temperature times its spread."""
    expected = torch.special.entr((exact / temperature).softmax(1)).sum(1)
    spread = float((exact.amax(1) - exact.amin(1)).max()) / temperature if exact.numel() else 0.0
    if not expected.numel():
        return
    bound = 2 * allowed / temperature * (1 + spread) + 64 * torch.finfo(entropy.dtype).eps * (
        1 + expected.max()
    )
    assert (entropy.double() - expected).abs().max() <= bound
