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


def mask(h: int, w: int, tasks: int) -> dict[str, int]:
    """Pixels a program, and samples looked at together for the extremes.

    Every program finds the extremes anew, so each takes more pixels where there are programs enough.
    """
    block = 1024 if tasks < 16 else 2048
    return {"BLOCK": block, "BLOCK_S": min(power_of_two(4 * h * w), 1024), "num_warps": 8}


def step() -> dict[str, int]:
    """Pixels a program of `step_masks`."""
    return {"BLOCK": 1024, "num_warps": 4}


def row(height: int, width: int, bytes_per_number: int) -> dict[str, int]:
    """Whole rows of pixels where they are no wider than 1024; about 4 KB of each tensor a program."""
    block_x = min(power_of_two(width), 1024)
    block_y = min(power_of_two(height), max(4096 // (bytes_per_number * block_x), 1))
    return {"CHUNKS": chunks(width), "BLOCK_Y": block_y, "BLOCK_X": block_x, "num_warps": 4}


def chunks(width: int) -> int:
    """Into how many pieces a row of pixels is cut."""
    return -(-width // 1024)


def support(cells: int, pixels: int) -> int:
    """The most pixels of an axis that one cell is part of, rounded up to a power of two."""
    begins = [max(-(-(2 * pixels * c + pixels - cells) // (2 * cells)), 0) for c in range(1, cells)]
    begins = [0, *(min(begin, pixels) for begin in begins), pixels]
    return power_of_two(max(begins[c + 1] - begins[max(c - 1, 0)] for c in range(cells)))


def cell(h: int, w: int, height: int, width: int) -> dict[str, int]:
    """Cells and samples a program holds at once; one program per image."""
    rows = support(h, height)
    return {
        "CHUNKS": chunks(width),
        "SUPPORT": rows,
        "BLOCK": min(power_of_two(h * w), max(8192 // rows, 16)),
        "BLOCK_S": min(power_of_two(4 * h * w), 1024),
        "num_warps": 8 if rows >= 128 else 4,
    }


def project(cells: int) -> dict[str, int]:
    """A tile of channels by cells."""
    width = min(power_of_two(cells), 64)
    return {"BLOCK_K": max(2048 // width, 16), "BLOCK_P": width, "num_warps": 8}


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
