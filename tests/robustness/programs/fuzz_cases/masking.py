"""The three uses of the masking step against their definition in plain PyTorch."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from tolerances import rounding

from fuzz_cases.tensors import Draw, sizes, tensor
from opticam import masking
from opticam.masking import reference

REFUSED = "refused"


@st.composite
def saliency_mask(draw: Draw) -> str:
    """Maps and masked images as float64 has them, as far as the map's own range lets rounding show."""
    batch, channels, h, w, colours, height, width = sizes(draw, 3, 9, 6, 7, 4, 19, 21)
    features = tensor(draw, (draw(st.sampled_from([1, batch, batch])), channels, h, w))
    logits_u = tensor(draw, (batch, channels))
    images = tensor(draw, (batch, colours, height, width))
    normalization = draw(st.sampled_from(reference.NORMALIZATIONS))
    try:
        masked, saliency_map = masking.saliency_mask(features, logits_u, images, normalization)
    except (ValueError, TypeError) as error:
        return _refused(error)
    assert masked.shape == images.shape and saliency_map.shape == (batch, height, width)
    assert masked.dtype == images.dtype and masked.stride() == torch.empty_like(masked).stride()
    wide = features.double(), logits_u.double()
    surface = reference.upsample_map(reference.combine(*wide), (height, width))
    exact = reference.normalize_map(surface, normalization)
    sums = reference.compute_dtype(features, logits_u)
    for i in range(batch):
        _check_map(saliency_map[i], exact[i], surface[i], sums, channels, normalization)
    product = (images.double() * saliency_map.double().unsqueeze(1)).to(images.dtype).double()
    coarse = max(torch.finfo(images.dtype).eps, torch.finfo(sums).eps)
    _check_product(masked.double(), product, coarse)
    return "as the reference"


@st.composite
def channel_masks(draw: Draw) -> str:
    """Masks of single channels: a map of one channel is its bilinear enlargement in its own range."""
    batch, channels, h, w, colours, height, width = sizes(draw, 3, 5, 6, 7, 4, 19, 21)
    features = tensor(draw, (draw(st.sampled_from([1, batch, batch])), channels, h, w))
    images = tensor(draw, (batch, colours, height, width))
    named = draw(
        st.lists(st.integers(-1 if draw(st.integers(0, 9)) == 0 else 0, max(0, channels - 1)), max_size=4)
    )
    try:
        masked = masking.channel_masks(features, images, torch.tensor(named, dtype=torch.long))
    except (ValueError, TypeError) as error:
        return _refused(error)
    assert masked.shape == (batch, len(named), *images.shape[1:]) and masked.dtype == images.dtype
    spread = features.expand(batch, -1, -1, -1).double()
    sums = reference.compute_dtype(features)
    for i in range(batch):
        for place, channel in enumerate(named):
            surface = reference.upsample_map(spread[i : i + 1, channel], (height, width))[0]
            exact = reference.normalize_map(surface[None])[0]
            allowed = _map_error(exact, surface, sums, 1, "range")
            if allowed is not None and images[i].isfinite().all():
                product = images[i].double() * exact
                rounding_of_product = torch.finfo(images.dtype).eps * 2 * product.abs().max()
                least = torch.finfo(images.dtype).smallest_normal  # below which digits are lost
                bound = allowed * images[i].double().abs().max() + rounding_of_product + least
                assert (masked[i, place].double() - product).abs().max() <= bound
    return "as the reference"


@st.composite
def step_masks(draw: Draw) -> str:
    """Pixels kept or replaced: exactly those of the image or the baseline."""
    batch, colours, height, width = sizes(draw, 3, 4, 9, 11)
    images = tensor(draw, (batch, colours, height, width))
    ranks = torch.randint(0, max(1, height * width), (batch, height, width))
    baseline = tensor(
        draw, draw(st.sampled_from([(), images.shape, (colours, 1, 1), (1, colours, height, width)]))
    )
    baseline = baseline.to(images.dtype)
    steps = draw(st.lists(st.integers(-2, height * width + 2), max_size=5))
    try:
        kept = masking.step_masks(ranks, images, baseline, torch.tensor(steps, dtype=torch.long))
    except (ValueError, TypeError) as error:
        return _refused(error)
    assert kept.shape == (batch, len(steps), *images.shape[1:])
    for place, step in enumerate(steps):
        expected = torch.where((ranks < step)[:, None], images, baseline)
        torch.testing.assert_close(kept[:, place], expected, rtol=0, atol=0, equal_nan=True)
    return "as the reference"


def _check_map(
    found: torch.Tensor,
    exact: torch.Tensor,
    surface: torch.Tensor,
    dtype: torch.dtype,
    channels: int,
    normalization: str,
) -> None:
    if not surface.isfinite().all():
        # Which sums of infinities are NaN hangs on the order; nothing finite may pass for a map.
        assert normalization == "sigmoid" or not (found.isfinite() & (found > 1)).any()
        return
    assert found.isfinite().all()
    allowed = _map_error(exact, surface, dtype, channels, normalization)
    assert allowed is None or (found.double() - exact).abs().max() <= allowed


def _map_error(
    exact: torch.Tensor, surface: torch.Tensor, dtype: torch.dtype, channels: int, normalization: str
) -> float | None:
    """How far a map may be from float64: what rounding does to the surface, over what the map is divided by.

    None where next to nothing is divided by next to nothing, or the surface is not finite.
    """
    if not surface.isfinite().all():
        return None
    spans = {"max": surface.max().abs(), "range": surface.max() - surface.min(), "sigmoid": torch.ones(())}
    span = spans[normalization].item()
    error = 4 * rounding(surface, channels + 4, dtype)  # the sum, and four neighbours
    if span <= 20 * error:
        return None
    return 4 * error / span * max(1.0, exact.abs().max().item()) + 4 * torch.finfo(dtype).eps


def _check_product(found: torch.Tensor, exact: torch.Tensor, coarse: float) -> None:
    """One product, rounded to the images' dtype: NaN and infinity where they must be."""
    torch.testing.assert_close(
        found, exact, rtol=2 * coarse, atol=torch.finfo(torch.float16).tiny, equal_nan=True
    )


def _refused(error: Exception) -> str:
    named = str(error).split()[0].rstrip(":,")
    assert named in ("features", "logits_u", "images", "channels", "ranks", "baseline", "steps"), error
    return REFUSED
