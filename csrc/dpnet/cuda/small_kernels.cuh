// Around the large kernels: w_p = u_p / |u_p| and its gradient, the softmax over all parts.
// For every launch, any shape: all loop over their work, none uses atomics.
#pragma once

#include "numbers.cuh"
#include "reductions.cuh"
#include "tile_layout.h"

namespace dpnet {

constexpr double SMALLEST_NORM_ON_DEVICE = 1e-12;  // as torch.nn.functional.normalize

// Sum over the threads of a block, the same for all of them.
template <class A>
__device__ __forceinline__ A block_sum(A value) {
  __shared__ A sums[WARPS];
#pragma unroll
  for (int mask = 16; mask >= 1; mask /= 2) value += shuffle_xor(value, mask);
  __syncthreads();
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
  __syncthreads();
  return sums[0] + sums[1] + sums[2] + sums[3];
}

// A block a row: the inverse norm of a part, and, where `units` is given, its unit row padded by zeros to `pitch`. Rows
// from `count` on are zeros.
template <class T>
__global__ void __launch_bounds__(THREADS) unit_parts_kernel(const Accumulator<T>* parts, int count, int depth,
                                                             int pitch, T* units, Accumulator<T>* inverse_norms) {
  using A = Accumulator<T>;
  const bool known = blockIdx.x < count;
  const Accumulator<T>* part = parts + int64_t(blockIdx.x) * depth;
  A square = 0;
  if (known)
    for (int k = threadIdx.x; k < depth; k += THREADS) square += part[k] * part[k];
  const A norm = sqrt(block_sum(square)), scale = 1 / (norm < A(SMALLEST_NORM_ON_DEVICE) ? A(SMALLEST_NORM_ON_DEVICE) : norm);
  if (known && threadIdx.x == 0) inverse_norms[blockIdx.x] = scale;
  if (units == nullptr) return;
  T* unit = units + int64_t(blockIdx.x) * pitch;
  for (int k = threadIdx.x; k < pitch; k += THREADS)
    unit[k] = from_float<T>(known && k < depth ? part[k] * scale : A(0));
}

// Divide by the norm what is left of a gradient without its radial component. The block has written `row`.
template <class A>
__device__ __forceinline__ void remove_radial_component(const A* part, A scale, int depth, A* row) {
  A along = 0;
  for (int k = threadIdx.x; k < depth; k += THREADS) along += part[k] * row[k];
  const A radial = block_sum(along) * scale * scale;
  for (int k = threadIdx.x; k < depth; k += THREADS) row[k] = (row[k] - radial * part[k]) * scale;
}

template <class A>
__device__ __forceinline__ void finish_share(ShareOf<A> share, int64_t row, A* entropy, A* log_partition) {
  const A log_mass = log(share.mass);
  log_partition[row] = share.peak + log_mass;
  entropy[row] = log_mass - share.moment / share.mass;
}

// A thread a region: its softmax over the parts so far is extended by those of some tiles.
template <class A>
__global__ void __launch_bounds__(THREADS) extend_shares_kernel(const ShareOf<A>* shares, int64_t rows, int tiles,
                                                                bool from_nothing, ShareOf<A>* state, A* entropy,
                                                                A* log_partition) {
  const int64_t row = int64_t(blockIdx.x) * THREADS + threadIdx.x;
  if (row >= rows) return;
  ShareOf<A> total = from_nothing ? ShareOf<A>{-INFINITY, 0, 0} : state[row];
  for (int tile = 0; tile < tiles; ++tile) total = merge(total, shares[tile * rows + row]);
  state[row] = total;
  finish_share(total, row, entropy, log_partition);
}

}  // namespace dpnet
