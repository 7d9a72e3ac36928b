"""Forward kernels: two for `saliency_mask`, one each for `channel_masks` and `step_masks`."""

import triton
import triton.language as tl

from opticam.masking.triton.common import RANGE, SIGMOID, extremes, scaling, upsampled


@triton.jit
def combine_kernel(
    features,
    logits,
    weights,
    surface,
    feature_step,
    K: tl.constexpr,
    CELLS: tl.constexpr,
    BLOCK_ALL: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_P: tl.constexpr,
):
    """Softmax over K, and the weighted sum of features for BLOCK_P cells of one image."""
    image, block = tl.program_id(0).to(tl.int64), tl.program_id(1)
    logits += image * K
    everything = tl.arange(0, BLOCK_ALL)
    u = tl.load(logits + everything, mask=everything < K, other=float("-inf")).to(tl.float32)
    top = tl.max(u, 0)
    exponentials = tl.exp(u - top)
    total = tl.sum(exponentials, 0)
    if block == 0:
        tl.store(weights + image * K + everything, exponentials / total, mask=everything < K)
    cell = block * BLOCK_P + tl.arange(0, BLOCK_P)
    sums = tl.zeros([BLOCK_K, BLOCK_P], tl.float32)
    for start in range(0, K, BLOCK_K):
        channel = start + tl.arange(0, BLOCK_K)
        logit = tl.load(logits + channel, mask=channel < K, other=float("-inf")).to(tl.float32)
        inside = (channel < K)[:, None] & (cell < CELLS)[None, :]
        at = image * feature_step + channel[:, None] * CELLS + cell[None, :]
        values = tl.load(features + at, mask=inside, other=0.0).to(tl.float32)
        sums += (tl.exp(logit - top) / total)[:, None] * values
    tl.store(surface + image * CELLS + cell, tl.sum(sums, 0), mask=cell < CELLS)


@triton.jit
def normalized_pixels(
    surface,
    row,
    column,
    inside,
    h: tl.constexpr,
    w: tl.constexpr,
    H: tl.constexpr,
    W: tl.constexpr,
    MODE: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """The normalised map at the given pixels; NaN anywhere in a map that holds one."""
    value = upsampled(surface, row, column, inside, h, w, H, W)
    if MODE == SIGMOID:
        return tl.sigmoid(value)
    low, high, _, _ = extremes(surface, h, w, H, W, BLOCK_S)
    offset, scale = scaling(low, high, MODE)
    value = (value - offset) * scale
    if MODE == RANGE:  # rounding may leave [0, 1]; written so that NaN stays
        value = tl.where(value < 0, 0.0, value)
        value = tl.where(value > 1, 1.0, value)
    return value


@triton.jit
def mask_kernel(
    images,
    surface,
    masked,
    saliency_map,
    plane,
    step,
    C: tl.constexpr,
    h: tl.constexpr,
    w: tl.constexpr,
    H: tl.constexpr,
    W: tl.constexpr,
    MODE: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """Upsample, normalise and multiply BLOCK pixels of one image; colours `plane` apart, pixels `step` apart."""
    image = tl.program_id(0).to(tl.int64)
    pixel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < H * W
    value = normalized_pixels(
        surface + image * h * w, pixel // W, pixel % W, inside, h, w, H, W, MODE, BLOCK_S
    )
    tl.store(saliency_map + image * H * W + pixel, value, mask=inside)
    for colour in tl.static_range(C):
        at = image * C * H * W + colour * plane + pixel * step
        tl.store(masked + at, tl.load(images + at, mask=inside, other=0.0) * value, mask=inside)


@triton.jit
def channel_kernel(
    features,
    images,
    channels,
    masked,
    feature_step,
    count,
    K: tl.constexpr,
    C: tl.constexpr,
    h: tl.constexpr,
    w: tl.constexpr,
    H: tl.constexpr,
    W: tl.constexpr,
    BLOCK: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """BLOCK pixels of one channel's mask times the image; NaN for a channel outside [0, K)."""
    task = tl.program_id(0).to(tl.int64)
    image = task // count
    channel = tl.load(channels + task)
    known = (channel >= 0) & (channel < K)
    pixel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < H * W
    surface = features + image * feature_step + tl.where(known, channel, 0) * h * w
    value = normalized_pixels(surface, pixel // W, pixel % W, inside, h, w, H, W, RANGE, BLOCK_S)
    value = tl.where(known, value, float("nan"))
    for colour in tl.static_range(C):
        at = colour * H * W + pixel
        colours = tl.load(images + image * C * H * W + at, mask=inside, other=0.0)
        tl.store(masked + task * C * H * W + at, colours * value, mask=inside)


@triton.jit
def step_kernel(
    ranks,
    images,
    baseline,
    steps,
    chosen,
    count,
    by_image,
    by_colour,
    by_row,
    by_column,
    C: tl.constexpr,
    H: tl.constexpr,
    W: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """BLOCK pixels of one step: the image where the rank is below the step, else the baseline."""
    task = tl.program_id(0).to(tl.int64)
    image = task // count
    step = tl.load(steps + task % count)
    pixel = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = pixel < H * W
    taken = tl.load(ranks + image * H * W + pixel, mask=inside, other=0) < step
    other = baseline + image * by_image + (pixel // W) * by_row + (pixel % W) * by_column
    for colour in tl.static_range(C):
        at = colour * H * W + pixel
        kept = tl.load(images + image * C * H * W + at, mask=inside & taken, other=0.0)
        replaced = tl.load(other + colour * by_colour, mask=inside & (taken == 0), other=0.0)
        tl.store(chosen + task * C * H * W + at, tl.where(taken, kept, replaced), mask=inside)
