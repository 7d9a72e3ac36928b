"""Triton functions shared by the forward and backward kernels: where pixels fall, and the extremes of a map.

A pixel p of an axis of PIXELS lies at ((2p + 1) CELLS - PIXELS) / (2 PIXELS) cells (align_corners=False), so its
cell and fraction come from whole numbers and are exact.
"""

import triton
import triton.language as tl

RANGE, MAX, SIGMOID = tl.constexpr(0), tl.constexpr(1), tl.constexpr(2)
# 16 units of rounding of float32, as CONSTANT_ULPS in reference.py says.
CONSTANT = tl.constexpr(16 * 2.0**-23)
SMALLEST, LARGER = tl.constexpr(2.0**-126), tl.constexpr(2.0**23)


@triton.jit
def place(pixel, CELLS: tl.constexpr, PIXELS: tl.constexpr):
    """The cell at or before each pixel's centre, and the fraction of the way to the next cell."""
    position = tl.maximum((2 * pixel + 1) * CELLS - PIXELS, 0)
    cell = tl.minimum(position // (2 * PIXELS), CELLS - 1)
    return cell, fraction(pixel, cell, CELLS, PIXELS)


@triton.jit
def fraction(pixel, cell, CELLS: tl.constexpr, PIXELS: tl.constexpr):
    """The fraction of the way to the next cell, for pixels of which the cell at or before is known."""
    position = tl.maximum((2 * pixel + 1) * CELLS - PIXELS, 0)
    part = (position - cell * (2 * PIXELS)).to(tl.float32) / (2.0 * PIXELS)
    return tl.where(cell < CELLS - 1, part, 0.0)


@triton.jit
def interval_begin(cell, CELLS: tl.constexpr, PIXELS: tl.constexpr):
    """The first pixel of a cell's interval; PIXELS for the cell past the last."""
    twice = tl.maximum(2 * PIXELS * cell + PIXELS - CELLS, 0)
    first = tl.minimum((twice + 2 * CELLS - 1) // (2 * CELLS), PIXELS)
    first = tl.where(cell == 0, 0, first)
    return tl.where(cell >= CELLS, PIXELS, first)


@triton.jit
def interval_end(index, CELLS: tl.constexpr, PIXELS: tl.constexpr):
    """End number `index` of the 2 CELLS ends of intervals, and whether it is a pixel.

    The ends of an interval without pixels are those of its neighbours, or lie outside.
    """
    pixel = interval_begin((index + 1) // 2, CELLS, PIXELS) - index % 2
    return pixel, (pixel >= 0) & (pixel < PIXELS)


@triton.jit
def between(surface, top, down, left, along, h: tl.constexpr, w: tl.constexpr):
    """The map between cells: `along` of the way from `left` to the next, `down` of the way from `top` to the next.

    Cells are never outside the map, so no load is masked, whatever the pixels are.
    """
    bottom, right = tl.minimum(top + 1, h - 1), tl.minimum(left + 1, w - 1)
    top_left = tl.load(surface + top * w + left).to(tl.float32)
    top_right = tl.load(surface + top * w + right).to(tl.float32)
    bottom_left = tl.load(surface + bottom * w + left).to(tl.float32)
    bottom_right = tl.load(surface + bottom * w + right).to(tl.float32)
    above = top_left + along * (top_right - top_left)
    below = bottom_left + along * (bottom_right - bottom_left)
    return above + down * (below - above)


@triton.jit
def widest(low, high, other_low, other_high):
    """The lesser of two least and the greater of two greatest values; NaN where any is."""
    low = tl.minimum(low, other_low, propagate_nan=tl.PropagateNan.ALL)
    return low, tl.maximum(high, other_high, propagate_nan=tl.PropagateNan.ALL)


@triton.jit
def extremes(
    surface, h: tl.constexpr, w: tl.constexpr, H: tl.constexpr, W: tl.constexpr, BLOCK: tl.constexpr
):
    """Least and greatest pixel of the upsampled map and where they are, from 4 h w of its H W pixels.

    Between two cells the map is linear along either axis, so it is extreme at the outermost pixels of an interval.
    Of a map that holds NaN both are NaN, and nowhere.
    """
    least = tl.full([BLOCK], float("inf"), tl.float32)
    greatest = tl.full([BLOCK], float("-inf"), tl.float32)
    at_least = tl.zeros([BLOCK], tl.int32)
    at_greatest = tl.zeros([BLOCK], tl.int32)
    for start in range(0, 4 * h * w, BLOCK):
        sample = start + tl.arange(0, BLOCK)
        row, row_exists = interval_end(sample // (2 * w), h, H)
        column, column_exists = interval_end(sample % (2 * w), w, W)
        valid = (sample < 4 * h * w) & row_exists & column_exists
        top, down = place(row, h, H)
        left, along = place(column, w, W)
        value = between(surface, top, down, left, along, h, w)
        at_least = tl.where(valid & (value < least), row * W + column, at_least)
        at_greatest = tl.where(valid & (value > greatest), row * W + column, at_greatest)
        low, high = tl.where(valid, value, float("inf")), tl.where(valid, value, float("-inf"))
        least, greatest = widest(least, greatest, low, high)
    low, high = tl.reduce((least, greatest), 0, widest)
    first_low = tl.min(tl.where(least == low, at_least, H * W), 0)
    first_high = tl.min(tl.where(greatest == high, at_greatest, H * W), 0)
    return low, high, first_low, first_high


@triton.jit
def scaling(low, high, MODE: tl.constexpr):
    """The offset and the two factors of the normalisation; the second is 0 for a map with nothing to normalise.

    The first is 1, or a power of two for a span so small that its inverse may be infinite.
    """
    if MODE == MAX:
        offset, span = low * 0, high
        constant = high == 0
    else:
        offset, span = low, high - low
        constant = span <= tl.maximum(tl.abs(low), tl.abs(high)) * CONSTANT
    larger = tl.where(tl.abs(span) < SMALLEST, LARGER, 1.0)
    return offset, larger, tl.where(constant, 0.0, 1.0 / (span * larger))
