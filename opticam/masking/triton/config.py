"""Block sizes and warps of the Triton kernels: a fixed table, since tuning at run time would change results.

The numbers were chosen on an H100 among 4 to 12 settings of each kernel, at batches of 1 and 64.
"""

from __future__ import annotations

import math


def power_of_two(number: int) -> int:
    """The least power of two not below `number` (at least 1)."""
    return 1 << max(number - 1, 0).bit_length()


def combine(channels: int, cells: int) -> dict[str, int]:
    """Narrow blocks of cells, so that a batch of one still spreads over the GPU, and many channels in flight.

    The same for every batch size: an image's map must not depend on what else is in its batch.
    """
    width = 16 if cells <= 64 else 32
    return {"BLOCK_ALL": power_of_two(channels), "BLOCK_K": 8192 // width, "BLOCK_P": width, "num_warps": 8}


def mask(h: int, w: int, width: int, bytes_per_number: int, tasks: int) -> dict[str, int]:
    """Pixels a program, and samples looked at together for the extremes.

    Every program finds the extremes anew, so each takes more pixels where there are programs enough.
    """
    return {
        "BLOCK": 1024 if tasks < 16 else 2048,
        "TOGETHER": together(w, width, most=16 // bytes_per_number),
        "BLOCK_S": min(power_of_two(4 * h * w), 1024),
        "num_warps": 8,
    }


def together(cells: int, pixels: int, most: int) -> int:
    """Into groups of how many pixels a row can be cut so that each lies between the same two cells.

    A power of two. Where cells are 2 s pixels wide, as those of most networks are, it is s, or else `most`.
    """
    group = most
    while group > 1 and any(edge % group for edge in (*interval_begins(cells, pixels), pixels)):
        group //= 2
    return group


def step() -> dict[str, int]:
    """Pixels a program of `step_masks`."""
    return {"BLOCK": 1024, "num_warps": 4}


def row(w: int, height: int, width: int, bytes_per_number: int) -> dict[str, int]:
    """Whole rows of pixels where they are no wider than 1024; about 4 KB of each tensor a program.

    Half precisions whose rows are not of whole 16 bytes are read number by number, each into a register of its own:
    they count as float32.
    """
    if width * bytes_per_number % 16:
        bytes_per_number = 4
    block_x = min(power_of_two(width), 1024)
    group = together(w, width, most=16)
    return {
        "CHUNKS": chunks(width),
        "TOGETHER": group,
        "BLOCK_Y": min(power_of_two(height), max(4096 // (bytes_per_number * block_x), 1)),
        "BLOCK_X": block_x,
        "BLOCK_C": min(power_of_two(w), group),
        "num_warps": 4,
    }


def chunks(width: int) -> int:
    """Into how many pieces a row of pixels is cut."""
    return -(-width // 1024)


def interval_begins(cells: int, pixels: int) -> list[int]:
    """The first pixel at or after each cell's centre, but 0 for the first cell: where its interval begins."""
    begins = (max(-(-(2 * pixels * c + pixels - cells) // (2 * cells)), 0) for c in range(1, cells))
    return [0, *(min(begin, pixels) for begin in begins)]


def support(cells: int, pixels: int) -> int:
    """The most pixels of an axis that one cell is part of, rounded up to a power of two."""
    begins = [*interval_begins(cells, pixels), pixels]
    return power_of_two(max(begins[c + 1] - begins[max(c - 1, 0)] for c in range(cells)))


def cell(h: int, w: int, height: int, width: int) -> dict[str, int]:
    """Cells and samples a program holds at once, all cells where it can; one program per image."""
    rows = support(h, height)
    block = min(power_of_two(h * w), max(16384 // rows, 16))
    return {
        "CHUNKS": chunks(width),
        "SUPPORT": rows,
        "BLOCK": block,
        "BLOCK_S": min(power_of_two(4 * h * w), 1024),
        "num_warps": 8 if block * rows >= 8192 else 4,
    }


def project(cells: int) -> dict[str, int]:
    """A tile of channels by cells: of one warp, which needs no barrier, where its width holds all cells."""
    width = min(power_of_two(cells), 64)
    if cells <= width:
        return {"BLOCK_K": 1024 // width, "BLOCK_P": width, "num_warps": 1}
    return {"BLOCK_K": 2048 // width, "BLOCK_P": width, "num_warps": 8}


def adam(settings: tuple[float, float, float, float] | None) -> dict[str, float | bool]:
    """Adam's rate, betas and epsilon as constants of the kernel; None for no step."""
    rate, beta1, beta2, epsilon = settings or (0.0, 0.5, 0.5, 1.0)
    return {
        "ADAM": settings is not None,
        "RATE": rate,
        "BETA1": beta1,
        "BETA2": beta2,
        "EPSILON": epsilon,
        "LOG_BETA1": math.log(beta1) if beta1 else -math.inf,
        "LOG_BETA2": math.log(beta2) if beta2 else -math.inf,
    }
