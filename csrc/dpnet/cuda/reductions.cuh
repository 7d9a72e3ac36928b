// What is kept of similarities: the better of two, NaN before all, then the first region; sums of a softmax, merged.
// For the kernels that make them a tile at a time and those that join them; any shape.
#pragma once

#include "device.cuh"

namespace dpnet {

template <class A>
__device__ __forceinline__ bool is_better(A value, int region, A best, int best_region) {
  if (value != value || best != best) return value != value && (best == best || region < best_region);
  return value > best || (value == best && region < best_region);
}

// Softmax over some parts of one region: the largest logit, and sums of e^(logit - peak) and of
// (logit - peak) e^(logit - peak).
template <class A>
struct ShareOf {
  A peak;
  A mass;
  A moment;
};
using Share = ShareOf<float>;

template <class A>
__device__ __forceinline__ ShareOf<A> merge(ShareOf<A> a, ShareOf<A> b) {
  const A peak = largest(a.peak, b.peak);
  const A shift_a = a.mass == 0 ? 0 : a.peak - peak, shift_b = b.mass == 0 ? 0 : b.peak - peak;
  const A factor_a = exponential(shift_a), factor_b = exponential(shift_b);
  return {peak, a.mass * factor_a + b.mass * factor_b,
          (a.moment + a.mass * shift_a) * factor_a + (b.moment + b.mass * shift_b) * factor_b};
}

template <class A>
__device__ __forceinline__ ShareOf<A> shuffle_share(ShareOf<A> share, int mask) {
  return {shuffle_xor(share.peak, mask), shuffle_xor(share.mass, mask), shuffle_xor(share.moment, mask)};
}

}  // namespace dpnet
