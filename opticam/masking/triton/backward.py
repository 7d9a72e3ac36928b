"""Backward kernels of `saliency_mask`: pixels to rows of cells, rows to cells, cells to logits_u.

No two programs write to one place and no sum depends on their order, so two runs give identical bits.
"""

import triton
import triton.language as tl

from opticam.masking.triton.common import RANGE, SIGMOID, extremes, fraction, interval_begin, place, scaling


@triton.jit
def row_kernel(
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
    w: tl.constexpr,
    H: tl.constexpr,
    W: tl.constexpr,
    MODE: tl.constexpr,
    CHUNKS: tl.constexpr,
    TOGETHER: tl.constexpr,
    BLOCK_Y: tl.constexpr,
    BLOCK_X: tl.constexpr,
    BLOCK_C: tl.constexpr,
):
    """dL/dn of BLOCK_Y rows of one image, summed along each row with the weights of the w cells it touches.

    TOGETHER pixels lie between the same two cells, so they are summed for those two before any cell is chosen.
    """
    image, block, chunk = tl.program_id(0).to(tl.int64), tl.program_id(1), tl.program_id(2)
    row = block * BLOCK_Y + tl.arange(0, BLOCK_Y)
    column = chunk * BLOCK_X + tl.arange(0, BLOCK_X)
    inside = (row < H)[:, None] & (column < W)[None, :]
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
    group = (chunk * BLOCK_X // TOGETHER + tl.arange(0, BLOCK_X // TOGETHER))[:, None]
    left, _ = place(group * TOGETHER, w, W)
    along = fraction(group * TOGETHER + tl.arange(0, TOGETHER)[None, :], left, w, W)[None]
    g = tl.reshape(g, [BLOCK_Y, BLOCK_X // TOGETHER, TOGETHER])
    to_left, to_right = tl.sum(g * (1 - along), 2), tl.sum(g * along, 2)
    left = tl.reshape(left, [1, 1, BLOCK_X // TOGETHER])
    out = partial + ((image * H + row) * CHUNKS + chunk)[:, None] * w
    for start in range(0, w, BLOCK_C):
        cell = start + tl.arange(0, BLOCK_C)
        here = cell[None, :, None]
        part = tl.where(left == here, to_left[:, None, :], 0.0)
        part += tl.where(left + 1 == here, to_right[:, None, :], 0.0)
        tl.store(out + cell[None, :], tl.sum(part, 2), mask=(row < H)[:, None] & (cell < w)[None, :])


@triton.jit
def folded(
    partial,
    cell,
    inside,
    h: tl.constexpr,
    w: tl.constexpr,
    H: tl.constexpr,
    CHUNKS: tl.constexpr,
    SUPPORT: tl.constexpr,
):
    """dL/d(cell) from the rows that touch it, in float64: the transpose of upsampling along the columns."""
    cell_row, cell_column = cell // w, cell % w
    row = interval_begin(tl.maximum(cell_row - 1, 0), h, H)[:, None] + tl.arange(0, SUPPORT)[None, :]
    top, down = place(row, h, H)
    here = cell_row[:, None]
    share = tl.where(top == here, 1 - down, 0.0) + tl.where(top + 1 == here, down, 0.0)
    touched = inside[:, None] & (row < H) & (share != 0)
    total = tl.zeros(share.shape, tl.float64)
    for chunk in tl.static_range(CHUNKS):
        at = partial + (row * CHUNKS + chunk) * w + cell_column[:, None]
        total += tl.load(at, mask=touched, other=0.0).to(tl.float64)
    return tl.sum(total * share, 1)


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
    iteration,
    COUNT: tl.constexpr,
    h: tl.constexpr,
    w: tl.constexpr,
    H: tl.constexpr,
    W: tl.constexpr,
    MODE: tl.constexpr,
    CHUNKS: tl.constexpr,
    SUPPORT: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """One image: fold the rows into cells and go back through the normalisation, minimum and maximum too.

    Upsampling preserves sums, so the sums over pixels of g and of g n are taken over cells. COUNT adds one to
    the iteration, which the kernel after this one reads.
    """
    image = tl.program_id(0).to(tl.int64)
    if COUNT:
        tl.store(iteration, tl.load(iteration) + 1, mask=image == 0)
    partial += image * H * CHUNKS * w
    surface += image * h * w
    coarse += image * h * w
    low, larger, scale, at_low, at_high = 0.0, 1.0, 1.0, 0, 0
    if MODE != SIGMOID:
        least, greatest, at_low, at_high = extremes(surface, h, w, H, W, BLOCK_S)
        low, larger, scale = scaling(least, greatest, MODE)
    total = tl.zeros([], tl.float64)
    product = tl.zeros([], tl.float64)
    inner = tl.zeros([], tl.float64)
    cell = tl.arange(0, BLOCK)
    gradient = folded(partial, cell, cell < h * w, h, w, H, CHUNKS, SUPPORT)
    if MODE != SIGMOID:
        for start in range(0, h * w, BLOCK):
            cell = start + tl.arange(0, BLOCK)
            if h * w > BLOCK:
                gradient = folded(partial, cell, cell < h * w, h, w, H, CHUNKS, SUPPORT)
            value = tl.load(surface + cell, mask=cell < h * w, other=0.0)
            total += tl.sum(gradient)
            product += tl.sum(tl.where(cell < h * w, gradient * (value - low) * larger * scale, 0.0))
    for start in range(0, h * w, BLOCK):
        cell = start + tl.arange(0, BLOCK)
        if h * w > BLOCK:
            gradient = folded(partial, cell, cell < h * w, h, w, H, CHUNKS, SUPPORT)
        if MODE != SIGMOID:
            gradient -= product * share_of(at_high, cell, h, w, H, W)
            if MODE == RANGE:
                gradient += (product - total) * share_of(at_low, cell, h, w, H, W)
            gradient *= larger * scale
        value = tl.load(surface + cell, mask=cell < h * w, other=0.0)
        inner += tl.sum(tl.where(cell < h * w, gradient * value, 0.0))
        tl.store(coarse + cell, gradient, mask=cell < h * w)
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
