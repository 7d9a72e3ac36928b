"""Triton functions shared by the forward and backward kernels: where pixels fall, and the extremes of a map.

A pixel p of an axis of PIXELS lies at ((2p + 1) CELLS - PIXELS) / (2 PIXELS) cells (align_corners=False), so its
cell and fraction come from whole numbers and are exact.
"""

import triton
import triton.language as tl

RANGE, MAX, SIGMOID = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
# 16 units of rounding of float32, as CONSTANT_ULPS in reference.py says.
CONSTANT = tl.constexpr(16 * 2.0**-23)


@triton.jit
def place(pixel, CELLS: tl.constexpr, PIXELS: tl.constexpr):
    """The cell at or before each pixel's centre, and the fraction of the way to the next cell."""
    position = tl.maximum((2 * pixel + 1) * CELLS - PIXELS, 0)
    cell = tl.minimum(position // (2 * PIXELS), CELLS - 1)
    fraction = (position - cell * (2 * PIXELS)).to(tl.float32) / (2.0 * PIXELS)
    return cell, tl.where(cell < CELLS - 1, fraction, 0.0)


@triton.jit
def interval_begin(cell, CELLS: tl.constexpr, PIXELS: tl.constexpr):
    """The first pixel of a cell's interval; PIXELS for the cell past the last."""
    twice = tl.maximum(2 * PIXELS * cell + PIXELS - CELLS, 0)
    first = tl.minimum((twice + 2 * CELLS - 1) // (2 * CELLS), PIXELS)
    first = tl.where(cell == 0, 0, first)
    return tl.where(cell >= CELLS, PIXELS, first)


@triton.jit
def interval_end(index, CELLS: tl.constexpr, PIXELS: tl.constexpr):
    """End number `index` of the 2 CELLS ends of intervals, and whether that interval holds any pixel."""
    begin = interval_begin(index // 2, CELLS, PIXELS)
    last = interval_begin(index // 2 + 1, CELLS, PIXELS) - 1
    return tl.where(index % 2 == 0, begin, last), last >= begin


@triton.jit
def upsampled(
    surface, row, column, valid, h: tl.constexpr, w: tl.constexpr, H: tl.constexpr, W: tl.constexpr
):
    """The map upsampled to H x W, at the given pixels."""
    top, down = place(row, h, H)
    left, along = place(column, w, W)
    bottom, right = tl.minimum(top + 1, h - 1), tl.minimum(left + 1, w - 1)
    top_left = tl.load(surface + top * w + left, mask=valid, other=0.0).to(tl.float32)
    top_right = tl.load(surface + top * w + right, mask=valid, other=0.0).to(tl.float32)
    bottom_left = tl.load(surface + bottom * w + left, mask=valid, other=0.0).to(tl.float32)
    bottom_right = tl.load(surface + bottom * w + right, mask=valid, other=0.0).to(tl.float32)
    above = top_left + along * (top_right - top_left)
    below = bottom_left + along * (bottom_right - bottom_left)
    return above + down * (below - above)


@triton.jit
def extremes(
    surface, h: tl.constexpr, w: tl.constexpr, H: tl.constexpr, W: tl.constexpr, BLOCK: tl.constexpr
):
    """Least and greatest pixel of the upsampled map and where they are, from 4 h w of its H W pixels.

    Between two cells the map is linear along either axis, so it is extreme at the outermost pixels of an interval.
    """
    least = tl.full([BLOCK], float("inf"), tl.float32)
    greatest = tl.full([BLOCK], float("-inf"), tl.float32)
    at_least = tl.zeros([BLOCK], tl.int32)
    at_greatest = tl.zeros([BLOCK], tl.int32)
    nan = tl.zeros([BLOCK], tl.int32)
    for start in range(0, 4 * h * w, BLOCK):
        sample = start + tl.arange(0, BLOCK)
        row, row_exists = interval_end(sample // (2 * w), h, H)
        column, column_exists = interval_end(sample % (2 * w), w, W)
        valid = (sample < 4 * h * w) & row_exists & column_exists
        value = upsampled(surface, row, column, valid, h, w, H, W)
        below, above = valid & (value < least), valid & (value > greatest)
        at_least = tl.where(below, row * W + column, at_least)
        at_greatest = tl.where(above, row * W + column, at_greatest)
        least, greatest = tl.where(below, value, least), tl.where(above, value, greatest)
        nan = tl.where(valid & (value != value), 1, nan)
    low, high = tl.min(least, 0), tl.max(greatest, 0)
    first_low = tl.min(tl.where(least == low, at_least, H * W), 0)
    first_high = tl.min(tl.where(greatest == high, at_greatest, H * W), 0)
    any_nan = tl.max(nan, 0) > 0
    low, high = tl.where(any_nan, float("nan"), low), tl.where(any_nan, float("nan"), high)
    return low, high, first_low, first_high


@triton.jit
def scaling(low, high, MODE: tl.constexpr):
    """The offset and factor of the normalisation; factor 0 for a map with nothing to normalise."""
    if MODE == MAX:
        offset = low * 0
        scale = tl.where(high == 0, 0.0, 1.0 / high)
    else:
        offset = low
        constant = high - low <= tl.maximum(tl.abs(low), tl.abs(high)) * CONSTANT
        scale = tl.where(constant, 0.0, 1.0 / (high - low))
    return offset, scale
