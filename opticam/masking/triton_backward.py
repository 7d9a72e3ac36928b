"""Backward kernels of `saliency_mask`: pixels to intervals, intervals to cells, cells to logits_u.

No two programs write to one place and no sum depends on their order, so two runs give identical bits.
"""

import triton
import triton.language as tl

from opticam.masking.triton_common import RANGE, SIGMOID, extremes, interval_begin, place, scaling


@triton.jit
def interval_kernel(
    grad_masked,
    grad_map,
    images,
    saliency_map,
    partial,
    plane,
    step,
    HAS_MASKED: tl.constexpr,
    HAS_MAP: tl.constexpr,
    C: tl.constexpr,
    h: tl.constexpr,
    w: tl.constexpr,
    H: tl.constexpr,
    W: tl.constexpr,
    MODE: tl.constexpr,
    BLOCK_Y: tl.constexpr,
    BLOCK_X: tl.constexpr,
):
    """dL/dn over the pixels between four cells, summed with the weights 1, along, down and along x down."""
    image, cell = tl.program_id(0).to(tl.int64), tl.program_id(1)
    first_row, end_row = interval_begin(cell // w, h, H), interval_begin(cell // w + 1, h, H)
    first_column, end_column = interval_begin(cell % w, w, W), interval_begin(cell % w + 1, w, W)
    plain = tl.zeros([BLOCK_Y, BLOCK_X], tl.float32)
    by_along, by_down, by_both = plain, plain, plain
    for y in range(first_row, end_row, BLOCK_Y):
        for x in range(first_column, end_column, BLOCK_X):
            row, column = y + tl.arange(0, BLOCK_Y), x + tl.arange(0, BLOCK_X)
            inside = (row < end_row)[:, None] & (column < end_column)[None, :]
            pixel = row[:, None] * W + column[None, :]
            g = tl.zeros([BLOCK_Y, BLOCK_X], tl.float32)
            if HAS_MAP:
                g += tl.load(grad_map + image * H * W + pixel, mask=inside, other=0.0)
            if HAS_MASKED:
                for colour in tl.static_range(C):
                    at = image * C * H * W + colour * plane + pixel * step
                    gradient = tl.load(grad_masked + at, mask=inside, other=0.0).to(tl.float32)
                    g += gradient * tl.load(images + at, mask=inside, other=0.0).to(tl.float32)
            if MODE == SIGMOID:
                value = tl.load(saliency_map + image * H * W + pixel, mask=inside, other=0.0)
                g *= value * (1 - value)
            _, down = place(row, h, H)
            _, along = place(column, w, W)
            plain += g
            by_along += g * along[None, :]
            by_down += g * down[:, None]
            by_both += g * down[:, None] * along[None, :]
    out = partial + (image * h * w + cell) * 4
    tl.store(out, tl.sum(plain))
    tl.store(out + 1, tl.sum(by_along))
    tl.store(out + 2, tl.sum(by_down))
    tl.store(out + 3, tl.sum(by_both))


@triton.jit
def part(partial, kind: tl.constexpr, exists):
    """One of the four sums of each interval in float64: from here to the cells sums cancel, and are few."""
    return tl.load(partial + kind, mask=exists, other=0.0).to(tl.float64)


@triton.jit
def folded(partial, cell, inside, h: tl.constexpr, w: tl.constexpr):
    """dL/d(cell) from the four intervals that touch it: the transpose of bilinear upsampling."""
    row, column = cell // w, cell % w
    here, left = partial + cell * 4, partial + (cell - 1) * 4
    above, corner = partial + (cell - w) * 4, partial + (cell - w - 1) * 4
    has_left, has_above = inside & (column > 0), inside & (row > 0)
    total = part(here, 0, inside) - part(here, 1, inside) - part(here, 2, inside) + part(here, 3, inside)
    total += part(left, 1, has_left) - part(left, 3, has_left)
    total += part(above, 2, has_above) - part(above, 3, has_above)
    return total + part(corner, 3, has_left & has_above)


@triton.jit
def share_of(pixel, cell, h: tl.constexpr, w: tl.constexpr, H: tl.constexpr, W: tl.constexpr):
    """How much of a pixel each cell makes up."""
    top, down = place(pixel // W, h, H)
    left, along = place(pixel % W, w, W)
    row, column = cell // w, cell % w
    vertical = tl.where(row == top, 1 - down, 0.0) + tl.where(row == top + 1, down, 0.0)
    horizontal = tl.where(column == left, 1 - along, 0.0) + tl.where(column == left + 1, along, 0.0)
    return vertical * horizontal


@triton.jit
def cell_kernel(
    partial,
    surface,
    coarse,
    offset,
    h: tl.constexpr,
    w: tl.constexpr,
    H: tl.constexpr,
    W: tl.constexpr,
    MODE: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """One image: fold the intervals into cells and go back through the normalisation, minimum and maximum too.

    Upsampling preserves sums, so the sums over pixels of g and of g n are taken over cells.
    """
    image = tl.program_id(0).to(tl.int64)
    partial += image * h * w * 4
    surface += image * h * w
    low, scale, at_low, at_high = 0.0, 1.0, 0, 0
    total = tl.zeros([], tl.float64)
    product = tl.zeros([], tl.float64)
    inner = tl.zeros([], tl.float64)
    if MODE != SIGMOID:
        least, greatest, at_low, at_high = extremes(surface, h, w, H, W, BLOCK_S)
        low, scale = scaling(least, greatest, MODE)
        for start in range(0, h * w, BLOCK):
            cell = start + tl.arange(0, BLOCK)
            gradient = folded(partial, cell, cell < h * w, h, w)
            value = tl.load(surface + cell, mask=cell < h * w, other=0.0)
            total += tl.sum(gradient)
            product += tl.sum(tl.where(cell < h * w, gradient * (value - low) * scale, 0.0))
    for start in range(0, h * w, BLOCK):
        cell = start + tl.arange(0, BLOCK)
        gradient = folded(partial, cell, cell < h * w, h, w)
        if MODE != SIGMOID:
            gradient -= product * share_of(at_high, cell, h, w, H, W)
            if MODE == RANGE:
                gradient += (product - total) * share_of(at_low, cell, h, w, H, W)
            gradient *= scale
        value = tl.load(surface + cell, mask=cell < h * w, other=0.0)
        inner += tl.sum(tl.where(cell < h * w, gradient * value, 0.0))
        tl.store(coarse + image * h * w + cell, gradient, mask=cell < h * w)
    tl.store(offset + image, inner)


@triton.jit
def project_kernel(
    features,
    weights,
    coarse,
    offset,
    gradient,
    logits,
    first_moment,
    second_moment,
    iteration,
    feature_step,
    ADAM: tl.constexpr,
    RATE: tl.constexpr,
    BETA1: tl.constexpr,
    BETA2: tl.constexpr,
    EPSILON: tl.constexpr,
    LOG_BETA1: tl.constexpr,
    LOG_BETA2: tl.constexpr,
    K: tl.constexpr,
    CELLS: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_P: tl.constexpr,
):
    """dL/du for BLOCK_K channels of one image: weights x (features . coarse - offset); or one Adam step of u."""
    image = tl.program_id(0).to(tl.int64)
    channel = tl.program_id(1) * BLOCK_K + tl.arange(0, BLOCK_K)
    known = channel < K
    sums = tl.zeros([BLOCK_K, BLOCK_P], tl.float32)
    for start in range(0, CELLS, BLOCK_P):
        cell = start + tl.arange(0, BLOCK_P)
        inside = known[:, None] & (cell < CELLS)[None, :]
        at = image * feature_step + channel[:, None] * CELLS + cell[None, :]
        value = tl.load(features + at, mask=inside, other=0.0).to(tl.float32)
        sums += value * tl.load(coarse + image * CELLS + cell, mask=cell < CELLS, other=0.0)[None, :]
    at = image * K + channel
    weight = tl.load(weights + at, mask=known, other=0.0)
    g = weight * (tl.sum(sums, 1) - tl.load(offset + image))
    if not ADAM:
        tl.store(gradient + at, g, mask=known)
    else:
        count = tl.load(iteration).to(tl.float64)
        m = tl.load(first_moment + at, mask=known, other=0.0) * BETA1 + g * (1.0 - BETA1)
        v = tl.load(second_moment + at, mask=known, other=0.0) * BETA2 + g * g * (1.0 - BETA2)
        tl.store(first_moment + at, m, mask=known)
        tl.store(second_moment + at, v, mask=known)
        m_hat = m / (1 - tl.exp(count * LOG_BETA1)).to(tl.float32)  # 1 - beta^t loses digits in float32
        v_hat = v / (1 - tl.exp(count * LOG_BETA2)).to(tl.float32)
        u = tl.load(logits + at, mask=known, other=0.0)
        tl.store(logits + at, u - RATE * m_hat / (tl.sqrt(v_hat) + EPSILON), mask=known)
