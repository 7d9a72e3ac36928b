"""AOPC, max sensitivity and ADCC: Table 4 of Opti-CAM."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

from opticam.batches import check_max_batch, default_batch
from opticam.masking import step_masks
from opticam.metrics.checks import at_least_float32, check_images, check_targets, check_unit_maps
from opticam.metrics.faithfulness import average_drop, target_probability

SaliencyMethod = Callable[[Tensor, Tensor], Tensor]
DENOMINATORS = ("map", "image")


def aopc(
    classifier: Callable[[Tensor], Tensor],
    images: Tensor,
    maps: Tensor,
    targets: Tensor,
    *,
    patch: int = 14,
    regions: int = 10,
    max_batch: int | None = None,
) -> Tensor:
    """AOPC = 100 / L · Σ_{k=1..L} (p(x) - p(x^k)), x^k the image without its k most salient patches.

    `images` [B, 3, H, W] and `maps` [B, H, W] in [0, 1], `targets` int [B]. Regions are the `regions` patches
    of `patch` x `patch` pixels of `salient_patches`, blackened one after the other, most salient first; p is the
    softmax probability of the target. `max_batch`: largest number of images in one forward pass, at least one
    image's regions; `None` takes `opticam.batches.default_batch`.

    Returns [B] in percent, -100 to 100; higher is better. Sensitive to patch size and number of regions.
    Source: Samek et al. (2017), eq. 12, averaged over the L perturbed images as Quantus' RegionPerturbation
    does (Samek divides by L + 1); settings of Opti-CAM section 5.3.3. Raises `ValueError`/`TypeError` when an
    argument does not fit.
    """
    _check(images, maps, targets)
    most = check_max_batch(max_batch) or default_batch(images)
    ranks = salient_patches(maps, patch, regions)
    steps = torch.arange(1, regions + 1, device=maps.device)
    black = torch.zeros_like(images)
    plain = target_probability(classifier, images, targets)
    perturbed = torch.empty(len(images), regions, dtype=plain.dtype, device=plain.device)
    group = max(1, most // regions)
    for start in range(0, len(images), group):
        rows = slice(start, start + group)
        masked = step_masks(ranks[rows], black[rows], images[rows], steps).flatten(0, 1)
        repeated = targets[rows].repeat_interleave(regions)
        perturbed[rows] = target_probability(classifier, masked, repeated).view(-1, regions)
    return 100 * (plain - perturbed.mean(1))


def salient_patches(maps: Tensor, patch: int, regions: int) -> Tensor:
    """Which patch each pixel belongs to: int64 [B, H, W], 0 for the most salient one, `regions` for no patch.

    Patches may begin at any pixel and reach beyond the lower and right border; each next one is that of the
    largest sum of saliency among those that overlap none before it (the earliest in raster order of equals).
    Raises `ValueError` when `patch` or `regions` does not fit the maps.
    """
    height, width = maps.shape[1:]
    if not 1 <= patch <= min(height, width):
        raise ValueError(f"patch must be between 1 and the map's side, {min(height, width)}, got {patch}")
    # So many patches always find a place, wherever the first ones lie.
    most = -(-height // (2 * patch)) * -(-width // (2 * patch))
    if not 1 <= regions <= most:
        raise ValueError(f"regions must be between 1 and {most} for patches of {patch} pixels, got {regions}")
    maps = at_least_float32(maps)
    sums = functional.avg_pool2d(functional.pad(maps[:, None], (0, patch - 1, 0, patch - 1)), patch, 1)[:, 0]
    rows = torch.arange(height, device=maps.device)
    columns = torch.arange(width, device=maps.device)
    ranks = torch.full(maps.shape, regions, dtype=torch.int64, device=maps.device)
    for region in range(regions):
        corner = sums.flatten(1).argmax(1)
        down = rows - (corner // width)[:, None]
        right = columns - (corner % width)[:, None]
        inside = ((down >= 0) & (down < patch))[:, :, None] & ((right >= 0) & (right < patch))[:, None]
        ranks[inside] = region
        near = (down.abs() < patch)[:, :, None] & (right.abs() < patch)[:, None]
        sums = sums.masked_fill(near, float("-inf"))
    return ranks


def max_sensitivity(
    method: SaliencyMethod,
    images: Tensor,
    maps: Tensor,
    targets: Tensor,
    *,
    radius: float = 0.2,
    samples: int = 10,
    seed: int = 0,
    denominator: str = "map",
    max_batch: int | None = None,
) -> Tensor:
    """MS = max_j ‖S(x + δ_j) - S(x)‖ / ‖S(x)‖, δ_j uniform noise in [-radius, radius] on every pixel value.

    `method(images, targets) -> maps`; `images` [B, 3, H, W] and `maps` = S(x) [B, H, W] in [0, 1]; `targets`
    int [B]. Noisy images are clipped to [0, 1], those of Quantus, with which the published table was made, are not.
    The noise depends on `seed` alone, not on the batch mates' pixels. `denominator="image"` divides by ‖x‖, as
    Quantus did before its issue 288 was solved (August 2023); which version it was is not known. `max_batch`: largest
    number of noisy images that the method is given at once, at least one of each image; `None` takes
    `opticam.batches.default_batch`.

    Returns [B] in [0, ∞), not in percent; lower is better. A map of zeros gives 0 if it stays so, otherwise ∞.
    Source: Yeh et al. (2019), eq. 4; settings of Opti-CAM section 5.3.3. Raises `ValueError`/`TypeError`.
    """
    _check(images, maps, targets)
    most = check_max_batch(max_batch) or default_batch(images)
    if denominator not in DENOMINATORS:
        raise ValueError(f"denominator must be one of {DENOMINATORS}, got {denominator!r}")
    if radius <= 0 or samples < 1:
        raise ValueError(f"radius must be above 0 and samples at least 1, got {radius} and {samples}")
    generator = torch.Generator().manual_seed(seed)
    largest = torch.zeros(len(maps), device=maps.device, dtype=maps.dtype)
    group = max(1, most // max(1, len(images)))
    for start in range(0, samples, group):
        noisy = []
        for _ in range(start, min(start + group, samples)):
            noise = torch.rand(images.shape[1:], generator=generator, dtype=torch.float32).to(images)
            noisy.append((images + radius * (2 * noise - 1)).clamp(0, 1))
        found = method(torch.cat(noisy), targets.repeat(len(noisy))).unflatten(0, (len(noisy), len(maps)))
        largest = torch.maximum(largest, (found - maps).flatten(2).norm(dim=2).amax(0))
    scale = (maps if denominator == "map" else images).flatten(1).norm(dim=1)
    return torch.where(largest > 0, largest / scale, 0.0)


def adcc(
    classifier: Callable[[Tensor], Tensor],
    method: SaliencyMethod,
    images: Tensor,
    maps: Tensor,
    targets: Tensor | None = None,
) -> dict[str, Tensor]:
    """ADCC, the harmonic mean of coherency, 1 - complexity and 1 - average drop, and its parts.

    `method(images, targets) -> maps`; `images` [B, 3, H, W] and `maps` [B, H, W] in [0, 1]; `targets` int [B],
    by default the predicted classes, which the definition asks for.

    ADCC = 100 · 3 / (1 / Coh + 1 / (1 - Com) + 1 / (1 - AD)), and 0 where a part is 0. Returns {"ADCC",
    "coherency", "complexity"}, each [B] in [0, 100]: ADCC and coherency up, complexity down is better. (Opti-CAM's
    Table 4 marks ADCC with a downward arrow; the measure itself rewards higher values.)
    Source: Poppi et al. (2021), eqs. 5-8; Opti-CAM section 5.3.3. Raises `ValueError`/`TypeError`.
    """
    if targets is None:
        with torch.no_grad():
            targets = classifier(images).argmax(1)
    _check(images, maps, targets)
    masked = images * maps[:, None]
    p, o = (target_probability(classifier, pixels, targets) for pixels in (images, masked))
    coherency = pearson(maps, method(masked, targets)).add(1).mul(50)
    complexity = 100 * at_least_float32(maps).flatten(1).abs().mean(1)
    parts = torch.stack([coherency, 100 - complexity, 100 - average_drop(p, o).to(complexity.dtype)])
    score = torch.where((parts > 0).all(0), 3 / parts.reciprocal().sum(0), 0.0)
    return {"ADCC": score, "coherency": coherency, "complexity": complexity}


def pearson(first: Tensor, second: Tensor) -> Tensor:
    """Correlation of two maps [B, H, W] over their pixels: [B] in [-1, 1]; -1 where one of them is constant.

    The correlation of a constant map is undefined; the lowest value gives such a map no coherency.
    """
    first, second = (at_least_float32(maps).flatten(1) for maps in (first, second))
    # The rounded mean of a constant map may differ from its only value.
    varied = (first.amax(1) > first.amin(1)) & (second.amax(1) > second.amin(1))
    first, second = (rows - rows.mean(1, keepdim=True) for rows in (first, second))
    scale = first.norm(dim=1) * second.norm(dim=1)
    correlation = ((first * second).sum(1) / scale).clamp(-1, 1)
    return torch.where(varied & (scale > 0), correlation, -1.0)


def _check(images: Tensor, maps: Tensor, targets: Tensor) -> None:
    check_images(images)
    check_unit_maps(maps, images)
    check_targets(targets, len(images))
