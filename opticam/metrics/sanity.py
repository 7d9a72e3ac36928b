"""The sanity check of Adebayo et al. (2018): does a map change when the network forgets what it learned?

Blocks of a copied network are randomised one after the other, from the output down; after each the map is
compared with the map of the trained network. A map that stays the same does not explain the network.
Source: Opti-CAM Appendix G, five blocks of a ResNet-50.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
import torch
from scipy.stats import rankdata
from skimage.feature import hog
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from opticam.metrics.checks import check_images, check_maps

HOG_CELL, HOG_BLOCK = (16, 16), (3, 3)
Network = TypeVar("Network", bound=nn.Module)


def cascading_randomization(
    network: Network, blocks: Sequence[str], seed: int = 0
) -> Iterator[tuple[str, Network]]:
    """After each of `blocks`, its name and the network with this block and all before it randomised.

    `network` stays as it is; the one yielded is a copy and changes with every step. `blocks`: module names as
    in `named_modules`, from the output down, such as "fc", "layer4", "layer3". Each module is drawn anew by
    its own initialisation; parameters without one get a normal distribution of standard deviation 0.02.
    Raises `ValueError` when the network has no module of that name.
    """
    modules = dict(network.named_modules())
    unknown = [name for name in blocks if name not in modules]
    if unknown:
        raise ValueError(
            f"blocks must be modules of the network, got {unknown}; it has {list(modules)[1:9]} ..."
        )
    randomized = copy.deepcopy(network)
    devices = {parameter.device for parameter in randomized.parameters() if parameter.is_cuda}
    for index, name in enumerate(blocks):
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed + index)
            randomize(randomized.get_submodule(name))
        yield name, randomized


@torch.no_grad()
def randomize(block: nn.Module) -> None:
    """Draw all parameters of a module and its children anew, in place."""
    covered: set[int] = set()

    def reset(module: nn.Module) -> None:
        draw = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
        if draw is not None:
            draw()
            covered.update(map(id, module.parameters()))

    block.apply(reset)  # children first: what a module says of their parameters is the last word
    for parameter in block.parameters():
        if id(parameter) not in covered:
            parameter.normal_(std=0.02)


def map_similarity(maps: Tensor, others: Tensor) -> dict[str, Tensor]:
    """Three similarities of two batches of maps [B, H, W] in [0, 1]; each [B], 1 for equal maps.

    {"spearman", "hog", "ssim"}, all in [-1, 1]; under randomisation, lower is better. "spearman" is the rank
    correlation, "hog" the Pearson correlation of scikit-image's histograms of oriented gradients in cells of
    16 x 16 pixels, "ssim" scikit-image's structural similarity with Gaussian weights, of a data range of 1. NaN where a
    constant map leaves one undefined.
    Raises `ValueError`/`TypeError` for maps of two shapes, or of less than 48 x 48 pixels, a block of such cells.
    """
    check_maps(maps)
    check_maps(others)
    if maps.shape != others.shape:
        raise ValueError(
            f"others must have the shape of maps, {tuple(maps.shape)}, got {tuple(others.shape)}"
        )
    _check_size(maps, "maps")
    if not len(maps):  # the libraries take no empty batch
        return dict.fromkeys(("spearman", "hog", "ssim"), maps.new_empty(0))
    first, second = (batch.detach().double().cpu().numpy() for batch in (maps, others))
    scores = {
        "spearman": _spearman(first, second),
        "hog": _pearson(_hog(first), _hog(second)),
        "ssim": np.array([_ssim(a, b) for a, b in zip(first, second)]),
    }
    return {name: torch.from_numpy(values).to(maps) for name, values in scores.items()}


def randomization_check(
    method: Callable[[Network], Callable[[Tensor, Tensor], Tensor]],
    classifier: Network,
    images: Tensor,
    targets: Tensor,
    blocks: Sequence[str],
    seed: int = 0,
    maps: Tensor | None = None,
) -> dict[str, dict[str, Tensor]]:
    """Similarity of the trained classifier's maps to those after each step of `cascading_randomization`.

    `method(classifier) -> saliency method`, such as `GradCAM`; `images` [B, 3, H, W] of 48 x 48 pixels or more;
    `blocks`: module names within `classifier`. `maps` [B, H, W]: those of the trained classifier, if already known.
    Returns {block: `map_similarity`}; the target class stays the same throughout. Raises `ValueError`/`TypeError`.
    """
    check_images(images)
    _check_size(images, "images")
    if maps is None:
        maps = method(classifier)(images, targets)
    return {
        name: map_similarity(maps, method(randomized)(images, targets))
        for name, randomized in cascading_randomization(classifier, blocks, seed)
    }


def _check_size(pictures: Tensor, name: str) -> None:
    """Raise unless the histograms have a whole block of cells in images or maps [..., H, W]."""
    least = HOG_BLOCK[0] * HOG_CELL[0]
    if min(pictures.shape[-2:]) < least:
        raise ValueError(
            f"{name} must have {least} x {least} pixels or more, got {tuple(pictures.shape[-2:])}"
        )


def _spearman(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return _pearson(*(rankdata(batch.reshape(len(batch), -1), axis=1) for batch in (first, second)))


def _pearson(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    first, second = (rows - rows.mean(1, keepdims=True) for rows in (first, second))
    scale = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    defined = scale > 0
    correlation = (first * second).sum(1) / np.where(defined, scale, 1)
    return np.where(defined, correlation, np.nan)


def _hog(maps: np.ndarray) -> np.ndarray:
    return np.stack(
        [hog(saliency_map, pixels_per_cell=HOG_CELL, cells_per_block=HOG_BLOCK) for saliency_map in maps]
    )


def _ssim(first: np.ndarray, second: np.ndarray) -> float:
    similarity: float = structural_similarity(
        first, second, data_range=1.0, gaussian_weights=True, use_sample_covariance=False
    )
    return similarity
