"""Tensors of drawn shape, layout, dtype and kind of values."""

from __future__ import annotations

import torch
from hypothesis import strategies as st

DTYPES = (torch.float32, torch.float64, torch.bfloat16, torch.float16)
LAYOUTS = ("contiguous", "strided", "transposed", "expanded", "offset")
PLAIN = ("normal", "zeros", "constant", "small")
WILD = (*PLAIN, "huge", "nan", "infinite")

Draw = st.DrawFn


def tensor(
    draw: Draw,
    shape: tuple[int, ...],
    dtypes: tuple[torch.dtype, ...] = DTYPES,
    kinds: tuple[str, ...] = WILD,
) -> torch.Tensor:
    """A tensor of values that one drawn seed gives, in a drawn layout."""
    values = _values(draw(st.sampled_from(kinds)), shape, draw(st.integers(0, 2**31)))
    return laid_out(draw, values.to(draw(st.sampled_from(dtypes))))


def laid_out(draw: Draw, values: torch.Tensor) -> torch.Tensor:
    """The same values in a drawn layout in memory; an expanded tensor repeats the first along one axis."""
    layout = draw(st.sampled_from(LAYOUTS))
    if layout == "strided" and values.dim():
        wide = values.new_zeros(*values.shape[:-1], 2 * values.shape[-1])
        wide[..., ::2] = values
        return wide[..., ::2]
    if layout == "transposed" and values.dim() > 1:
        return values.transpose(-1, -2).contiguous().transpose(-1, -2)
    if layout == "expanded" and values.dim() and values.shape[0]:
        return values[:1].expand_as(values)
    if layout == "offset":
        return torch.cat([values.new_zeros(1), values.flatten()])[1:].view(values.shape)
    return values


def _values(kind: str, shape: tuple[int, ...], seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=generator, dtype=torch.float64)
    if kind == "zeros":
        return values * 0
    if kind == "constant":
        return values * 0 + 0.7
    if kind == "small":
        return values * 1e-6
    if kind == "huge":
        return values * 1e4
    if kind in ("nan", "infinite"):
        hit = torch.rand(shape, generator=generator) < 0.1
        return values.masked_fill(hit, float("nan") if kind == "nan" else float("inf"))
    return values


def sizes(draw: Draw, *largest: int) -> tuple[int, ...]:
    """A shape whose sizes go from 0 to `largest`, 1 to it mostly: most zeros are refused."""
    least = 0 if draw(st.integers(0, 9)) == 0 else 1
    return tuple(draw(st.integers(least, most)) for most in largest)
