"""Forward kernels: two for `saliency_mask`, one each for `channel_masks` and `step_masks`."""

import triton
import triton.language as tl

from opticam.masking.triton.common import RANGE, SIGMOID, between, extremes, fraction, place, scaling


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
    group,
    h: tl.constexpr,
    w: tl.constexpr,
    H: tl.constexpr,
    W: tl.constexpr,
    MODE: tl.constexpr,
    TOGETHER: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """The normalised map at groups [N,1] of TOGETHER pixels, [N,TOGETHER]; NaN anywhere in a map that holds one.

    The pixels of a group lie in one row between the same cells, which are looked up once for all of them.
    """
    first = group * TOGETHER
    row, column = first // W, first % W
    top, down = place(row, h, H)
    left, _ = place(column, w, W)
    along = fraction(column + tl.arange(0, TOGETHER)[None, :], left, w, W)
    value = between(surface, top, down, left, along, h, w)
    if MODE == SIGMOID:
        return tl.sigmoid(value)
    low, high, _, _ = extremes(surface, h, w, H, W, BLOCK_S)
    offset, larger, scale = scaling(low, high, MODE)
    value = (value - offset) * larger * scale
    if MODE == RANGE:  # rounding may leave [0, 1]; NaN stays
        value = tl.clamp(value, 0.0, 1.0, propagate_nan=tl.PropagateNan.ALL)
    return value


@triton.jit
def every_colour(images, at, plane, inside, C: tl.constexpr):
    """The C colours of the pixels `at`, `plane` apart.

    To be had before anything is stored: a store holds up the loads behind it, and these take longest.
    """
    colours = ()
    for colour in tl.static_range(C):
        colours += (tl.load(images + at + colour * plane, mask=inside, other=0.0),)
    return colours


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
    TOGETHER: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """Upsample, normalise and multiply BLOCK pixels of one image; colours `plane` apart, pixels `step` apart."""
    image = tl.program_id(0).to(tl.int64)
    group = (tl.program_id(1) * (BLOCK // TOGETHER) + tl.arange(0, BLOCK // TOGETHER))[:, None]
    pixel = group * TOGETHER + tl.arange(0, TOGETHER)[None, :]
    inside = pixel < H * W
    images, masked = images + image * C * H * W, masked + image * C * H * W
    colours = every_colour(images, pixel * step, plane, inside, C)
    value = normalized_pixels(surface + image * h * w, group, h, w, H, W, MODE, TOGETHER, BLOCK_S)
    tl.store(saliency_map + image * H * W + pixel, value, mask=inside)
    for colour in tl.static_range(C):
        tl.store(masked + pixel * step + colour * plane, colours[colour] * value, mask=inside)


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
    TOGETHER: tl.constexpr,
    BLOCK_S: tl.constexpr,
):
    """BLOCK pixels of one channel's mask times the image; NaN for a channel outside [0, K)."""
    task = tl.program_id(0).to(tl.int64)
    image = task // count
    channel = tl.load(channels + task)
    known = (channel >= 0) & (channel < K)
    group = (tl.program_id(1) * (BLOCK // TOGETHER) + tl.arange(0, BLOCK // TOGETHER))[:, None]
    pixel = group * TOGETHER + tl.arange(0, TOGETHER)[None, :]
    inside = pixel < H * W
    colours = every_colour(images + image * C * H * W, pixel, H * W, inside, C)
    surface = features + image * feature_step + tl.where(known, channel, 0) * h * w
    value = normalized_pixels(surface, group, h, w, H, W, RANGE, TOGETHER, BLOCK_S)
    value = tl.where(known, value, float("nan"))
    for colour in tl.static_range(C):
        tl.store(masked + task * C * H * W + colour * H * W + pixel, colours[colour] * value, mask=inside)


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
    kept = every_colour(images + image * C * H * W, pixel, H * W, inside, C)
    other = (pixel // W) * by_row + (pixel % W) * by_column
    replaced = every_colour(baseline + image * by_image, other, by_colour, inside, C)
    for colour in tl.static_range(C):
        at = task * C * H * W + colour * H * W + pixel
        tl.store(chosen + at, tl.where(taken, kept[colour], replaced[colour]), mask=inside)
