"""Find the last layer whose output still lies on the image, by one forward pass."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from opticam.outputs import as_maps, frozen, is_grid, logits_of
from opticam.vit.tokens import laid_out

COMMON_SIZES = ((224, 224), (28, 28), (32, 32), (64, 64), (96, 96), (299, 299))
"""Sizes (H, W) of pictures that are tried where a network does not say which it takes."""


@dataclass(frozen=True, eq=False)
class Run:
    """One run of a module: what it put out, and the tensor's version then (work in place gives it another)."""

    module: nn.Module
    output: torch.Tensor
    version: int


def last_spatial_layer(network: nn.Module) -> nn.Module | None:
    """The last block or convolution before the network's outputs lose their place on the image.

    It has weights that mix channels, runs once in a pass, and the logits hang on its places: of what a transformer
    with a class token does last, they hang on that token alone. A lone convolution is followed through the
    normalisation and activation behind it. None where no picture of a common size passes, or no layer puts out a map.
    """
    for channels, *size in _picture_sizes(network):
        try:
            # Whatever state the caller is in: this pass is differentiated.
            with (
                torch.inference_mode(False),
                torch.enable_grad(),
                frozen(network),
                _recording_runs(network) as runs,
            ):
                logits = logits_of(network(_noise(network, channels, *size)))
        except Exception:
            continue
        return _last_that_counts(logits, runs, network, (size[0], size[1]))
    return None


def _last_that_counts(
    logits: torch.Tensor, runs: list[Run], network: nn.Module, size: tuple[int, int]
) -> nn.Module | None:
    times = Counter(run.module for run in runs)
    maps = [run for run in runs if _map_of(run.output, network, size) is not None]
    blocks = [run for run in maps if _is_block(run.module) and times[run.module] == 1]
    if not blocks:
        return None
    hanging = (run for run in reversed(blocks) if _hangs_on(logits, run.output, network, size))
    return _innermost(next(hanging, blocks[-1]), blocks, maps, times)


def _innermost(last: Run, blocks: list[Run], maps: list[Run], times: Counter[nn.Module]) -> nn.Module:
    """The module to name for the output of the last block; the lists are in the order in which the runs ended.

    A block at the end of a stage at the end of a trunk put out the same tensor: the block is the first to end.
    """
    block = next(run for run in blocks if run.output is last.output and run.version == last.version)
    chosen = block
    if next(block.module.children(), None) is None:
        for run in maps[maps.index(block) + 1 :]:
            if _mixes(run.module) or run.output.shape != block.output.shape or times[run.module] > 1:
                break
            chosen = run
    return chosen.module


def _is_block(module: nn.Module) -> bool:
    """Whether a module is a convolution, or holds layers that mix channels: norms and activations do not."""
    return isinstance(module, nn.Conv2d) or (_mixes(module) and next(module.children(), None) is not None)


def _mixes(module: nn.Module) -> bool:
    """Whether a module has weights of two sizes above 1, as convolutions and linear layers have."""
    return any(sum(size > 1 for size in parameter.shape) > 1 for parameter in module.parameters())


def _map_of(output: torch.Tensor, network: nn.Module, size: tuple[int, int]) -> torch.Tensor | None:
    """An output as [1,K,h,w] if it has several places, laid as on the one picture of (H, W) pixels."""
    try:
        maps = as_maps(laid_out(output, network, size), 1)
    except ValueError:
        return None
    rows, columns = maps.shape[2:]
    return maps if rows * columns > 1 and is_grid(rows, columns, size) else None


@contextmanager
def _recording_runs(network: nn.Module) -> Iterator[list[Run]]:
    """The runs of all modules below `network` that put out one tensor, in the order in which they end."""
    runs: list[Run] = []

    def keep(module: nn.Module, inputs: object, output: object) -> None:
        if isinstance(output, torch.Tensor):
            runs.append(Run(module, output, output._version))

    handles = [module.register_forward_hook(keep) for module in network.modules() if module is not network]
    try:
        yield runs
    finally:
        for handle in handles:
            handle.remove()


def _hangs_on(logits: torch.Tensor, output: torch.Tensor, network: nn.Module, size: tuple[int, int]) -> bool:
    """Whether a logit changes with the places of a layer's output, as it does not with an auxiliary head's.

    The scores of the classes at each place do not count: they are no features.
    """
    features = _map_of(output, network, size)
    if features is None or features.shape[1] == logits.numel():
        return False
    if not logits.requires_grad or not output.requires_grad or output.is_meta:
        return True  # nothing can be told
    with torch.inference_mode(False), torch.enable_grad():
        (gradient,) = torch.autograd.grad(
            logits.flatten()[:1].sum(), output, retain_graph=True, allow_unused=True
        )
    places = None if gradient is None else _map_of(gradient, network, size)
    return places is not None and bool(places.any())


def stated_size(network: nn.Module) -> tuple[int, int] | None:
    """Size (H, W) of the pictures that a network of timm or torchvision says it takes; None where it does not."""
    stated = getattr(getattr(network, "patch_embed", None), "img_size", None)
    stated = stated or getattr(network, "image_size", None)
    stated = stated or (getattr(network, "pretrained_cfg", None) or {}).get("input_size", (3, None))[1:]
    height, width = (stated, stated) if isinstance(stated, int) else (stated[0], stated[-1])
    return (height, width) if height else None


def _picture_sizes(network: nn.Module) -> list[tuple[int, int, int]]:
    """Sizes (C, H, W) of pictures to try: first what timm's or torchvision's networks state, then common ones."""
    stated = stated_size(network)
    sizes = [stated, *COMMON_SIZES] if stated else COMMON_SIZES
    first = next((module for module in network.modules() if isinstance(module, nn.Conv2d)), None)
    colours = {3: None, (first.in_channels if first else 3): None}
    return [(channels, *size) for channels in colours for size in sizes]


def _noise(network: nn.Module, channels: int, height: int, width: int) -> torch.Tensor:
    """A picture [1,C,H,W] of noise on the network's device, from a generator of its own."""
    like = next(network.parameters(), torch.zeros(()))
    noise = torch.randn(1, channels, height, width, generator=torch.Generator().manual_seed(0))
    dtype = like.dtype if like.is_floating_point() else torch.float32
    return noise.to(like.device, dtype).requires_grad_()
