// Around the tile kernel: w_p = u_p / |u_p|, the softmax over parts; reductions of similarities that a product stored.
// For the kernels' launches in forward.cu and backward.cu, any shape: all loop over their work, none uses atomics.
#pragma once

#include "forward_tile.cuh"

namespace dpnet {

constexpr float SMALLEST_NORM_ON_DEVICE = 1e-12f;  // as torch.nn.functional.normalize

// Sum over the threads of a block, the same for all of them.
__device__ __forceinline__ float block_sum(float value) {
  __shared__ float sums[WARPS];
#pragma unroll
  for (int mask = 16; mask >= 1; mask /= 2) value += shuffle_xor(value, mask);
  __syncthreads();
  if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
  __syncthreads();
  return sums[0] + sums[1] + sums[2] + sums[3];
}

// A block a part: its inverse norm, and, where `units` is given, its unit row padded by zeros to `pitch`.
template <class T>
__global__ void __launch_bounds__(THREADS) unit_parts_kernel(const float* parts, int depth, int pitch, T* units,
                                                             float* inverse_norms) {
  const float* part = parts + int64_t(blockIdx.x) * depth;
  float square = 0;
  for (int k = threadIdx.x; k < depth; k += THREADS) square += part[k] * part[k];
  const float norm = sqrtf(block_sum(square));
  const float scale = 1.f / (norm < SMALLEST_NORM_ON_DEVICE ? SMALLEST_NORM_ON_DEVICE : norm);
  if (threadIdx.x == 0) inverse_norms[blockIdx.x] = scale;
  if (units == nullptr) return;
  T* unit = units + int64_t(blockIdx.x) * pitch;
  for (int k = threadIdx.x; k < pitch; k += THREADS) unit[k] = from_float<T>(k < depth ? part[k] * scale : 0.f);
}

__device__ __forceinline__ void finish_share(Share share, int64_t row, float* entropy, float* log_partition) {
  const float log_mass = logf(share.mass);
  log_partition[row] = share.peak + log_mass;
  entropy[row] = log_mass - share.moment / share.mass;
}

// A thread a region: the softmax over all parts from those over the parts of each tile.
template <class Shares>
__global__ void __launch_bounds__(THREADS) merge_shares_kernel(Shares shares, int64_t rows, int tiles, float* entropy,
                                                               float* log_partition) {
  const int64_t row = int64_t(blockIdx.x) * THREADS + threadIdx.x;
  if (row >= rows) return;
  Share total = shares[row];
  for (int tile = 1; tile < tiles; ++tile) total = merge(total, shares[tile * rows + row]);
  finish_share(total, row, entropy, log_partition);
}

// A thread a part of one image: its best region, from similarities [images, regions, parts].
template <class T>
__global__ void __launch_bounds__(THREADS) best_region_kernel(const T* product, int regions, int parts,
                                                              int part_blocks, float* scores, int* argmax) {
  const int64_t image = blockIdx.x / part_blocks;
  const int part = int(blockIdx.x % part_blocks) * THREADS + threadIdx.x;
  if (part >= parts) return;
  const T* column = product + image * regions * parts + part;
  float top = to_float(column[0]);
  int where = 0;
#pragma unroll 4
  for (int region = 1; region < regions; ++region) {
    const float value = to_float(column[int64_t(region) * parts]);
    if (!(value <= top) && top == top) {
      top = value;
      where = region;
    }
  }
  scores[image * parts + part] = top;
  argmax[image * parts + part] = where;
}

// A block a region: entropy and log-partition of its softmax over parts, from similarities [rows, parts].
template <class T>
__global__ void __launch_bounds__(THREADS) assignment_kernel(const T* product, int parts, float scale,
                                                             float* entropy, float* log_partition) {
  __shared__ Share shares[WARPS];
  const T* row = product + int64_t(blockIdx.x) * parts;
  float peak = -INFINITY;
  for (int part = threadIdx.x; part < parts; part += THREADS) peak = fmaxf(peak, to_float(row[part]) * scale);
#pragma unroll
  for (int mask = 16; mask >= 1; mask /= 2) peak = fmaxf(peak, shuffle_xor(peak, mask));
  float mass = 0, moment = 0;
  for (int part = threadIdx.x; part < parts; part += THREADS) {
    const float shifted = to_float(row[part]) * scale - peak;
    const float weight = exponential(shifted);
    mass += weight;
    moment += weight * fmaxf(shifted, -100.f);
  }
#pragma unroll
  for (int mask = 16; mask >= 1; mask /= 2) {
    mass += shuffle_xor(mass, mask);
    moment += shuffle_xor(moment, mask);
  }
  if (threadIdx.x % 32 == 0) shares[threadIdx.x / 32] = {peak, mass, moment};
  __syncthreads();
  if (threadIdx.x > 0) return;
  Share total = shares[0];
  for (int warp = 1; warp < WARPS; ++warp) total = merge(total, shares[warp]);
  finish_share(total, blockIdx.x, entropy, log_partition);
}

// A block a region: similarities [rows, parts] become the gradient through the entropy, in place.
template <class T>
__global__ void __launch_bounds__(THREADS) entropy_slope_kernel(T* product, int parts, float scale,
                                                                const float* weights, const float* entropy,
                                                                const float* log_partition) {
  const int64_t index = blockIdx.x;
  T* row = product + index * parts;
  const float weight = weights[index], own_entropy = entropy[index], own_partition = log_partition[index];
  for (int part = threadIdx.x; part < parts; part += THREADS) {
    const float log_share = to_float(row[part]) * scale - own_partition;
    row[part] = from_float<T>(-weight * exponential(log_share) * (log_share + own_entropy));
  }
}

}  // namespace dpnet
