"""Where in the image the cells of a feature map look: few networks centre them on an even grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from opticam.classifier import Classifier

EVEN_GRID = ((0.5, 1.0), (0.5, 1.0))
_WINDOWED = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)


def size_of(maps: Tensor) -> tuple[int, int]:
    """Height and width of maps or images [...,h,w]."""
    height, width = maps.shape[-2:]
    return height, width


def cell_grid(classifier: Classifier, image_size: tuple[int, int]) -> Tensor:
    """Where the target layer's cells are centred: float32 [2,2], rows (x, y), columns (first, pitch).

    ``first`` is the centre of cell 0 and ``pitch`` the distance between cells, both in units of the image's
    side over the map's, so that `EVEN_GRID` means cells that tile the image. A 3 x 3 convolution of stride 2
    with padding 1, for example, centres its cells on every second pixel, half a cell left of and above that:
    over a ResNet's five such steps the cells of layer4 look half a cell away from where an even grid puts
    them, 16 of 224 pixels. Found by following one image through the convolutions and poolings before the
    layer; where other operations change the size of the maps, the grid is taken to be even.
    """
    return map_geometry(classifier, image_size)[1]


def map_geometry(classifier: Classifier, image_size: tuple[int, int]) -> tuple[tuple[int, int], Tensor]:
    """The target layer's cells, (h, w) of them, and their `cell_grid`, from one pass of a blank image."""
    # For rows and columns: side of a map -> centre of its first cell and pitch, in pixels.
    known = [{side: (0.5, 1.0)} for side in image_size]

    def follow(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        for axis, centres in enumerate(known):
            before, after = inputs[0].shape[axis - 2], output.shape[axis - 2]
            if before != after and before in centres:
                centres[after] = _after(*centres[before], module, axis, before, after)

    def stop(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
        for handle in handles:
            handle.remove()

    windowed = [module for module in classifier.network.modules() if isinstance(module, _WINDOWED)]
    handles = [module.register_forward_hook(follow) for module in windowed]
    handles.append(classifier.target_layer.register_forward_hook(stop))
    maps = classifier.features(torch.zeros(1, 3, *image_size, device=classifier.mean.device))
    axes = zip(image_size, maps.shape[-2:], known)
    rows = [_in_cells(*centres.get(cells, _even(side, cells)), side, cells) for side, cells, centres in axes]
    return size_of(maps), torch.tensor(rows[::-1])


def to_pixels(maps: Tensor, image_size: tuple[int, int], grid: Tensor | None = None) -> Tensor:
    """Maps [...,h,w] upsampled to [...,H,W], bicubic, each cell's value at its centre in ``grid``."""
    grid = torch.tensor(EVEN_GRID) if grid is None else grid
    points = [
        _normalised_positions(side, cells, *grid[axis].tolist()).to(maps)
        for axis, (side, cells) in enumerate(zip(image_size[::-1], maps.shape[:-3:-1]))
    ]
    sampled = torch.stack(torch.meshgrid(*points, indexing="xy"), dim=-1)[None]
    flat = maps.reshape(1, -1, *maps.shape[-2:])
    options: dict[str, Any] = {"mode": "bicubic", "padding_mode": "border", "align_corners": False}
    return F.grid_sample(flat, sampled, **options).reshape(*maps.shape[:-2], *image_size)


def _after(
    first: float, pitch: float, module: nn.Module, axis: int, before: int, after: int
) -> tuple[float, float]:
    """Centre of the first cell and pitch behind a module, from those before it and the map's sides around it."""
    kernel, stride, dilation = (
        _of_axis(getattr(module, name, 1), axis) for name in ("kernel_size", "stride", "dilation")
    )
    reach = dilation * (kernel - 1)
    given: Any = module.padding
    padding = 0 if isinstance(given, str) else _of_axis(given, axis)
    if not padding and not getattr(module, "ceil_mode", False):
        # timm's "same" layers pad as they run: half of what the windows lack, the odd pixel behind.
        padding = max((after - 1) * stride + reach + 1 - before, 0) // 2
    return first + pitch * (reach / 2 - padding), pitch * stride


def _even(side: int, cells: int) -> tuple[float, float]:
    return 0.5 * side / cells, side / cells


def _in_cells(first: float, pitch: float, side: int, cells: int) -> tuple[float, float]:
    return first * cells / side, pitch * cells / side


def _of_axis(value: int | Sequence[int], axis: int) -> int:
    return value if isinstance(value, int) else value[axis]


def _normalised_positions(side: int, cells: int, first: float, pitch: float) -> Tensor:
    """Where the pixels of one side fall on the map, in the coordinates of `grid_sample`."""
    cell = ((torch.arange(side) + 0.5) * cells / side - first) / pitch
    return (2 * cell + 1) / cells - 1
