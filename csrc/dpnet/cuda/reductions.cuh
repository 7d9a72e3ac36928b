// What is kept of similarities: the better of two, NaN before all, then the first region; sums of a softmax, merged.
// For `forward_tile.cuh`, which makes them a tile at a time, and `small_kernels.cuh`, which joins them; any shape.
#pragma once

#include "device.cuh"

namespace dpnet {

__device__ __forceinline__ bool is_better(float value, int region, float best, int best_region) {
  if (value != value || best != best) return value != value && (best == best || region < best_region);
  return value > best || (value == best && region < best_region);
}

// Softmax over some parts of one region: the largest logit, and sums of e^(logit - peak) and of
// (logit - peak) e^(logit - peak).
struct Share {
  float peak;
  float mass;
  float moment;
};

__device__ __forceinline__ Share merge(Share a, Share b) {
  const float peak = fmaxf(a.peak, b.peak);
  const float shift_a = a.mass == 0 ? 0 : a.peak - peak, shift_b = b.mass == 0 ? 0 : b.peak - peak;
  const float factor_a = exponential(shift_a), factor_b = exponential(shift_b);
  return {peak, a.mass * factor_a + b.mass * factor_b,
          (a.moment + a.mass * shift_a) * factor_a + (b.moment + b.mass * shift_b) * factor_b};
}

}  // namespace dpnet
