// Scores max_r S_rp that are NaN, once more in plain float32 on the GPU: three products of TF32 have no infinity, since
// what the first leaves out of it is none. For `forward.cu` after a tile kernel of exact float32, any shape.
#pragma once

#include "tile_reduction.cuh"

namespace dpnet {

// A warp: the best region of one part in one image, and its similarity.
__device__ inline void find_best(const ForwardArguments& in, int64_t image, int part) {
  const int lane = threadIdx.x % 32;
  const float* const unit = reinterpret_cast<const float*>(in.units + int64_t(part) * in.row_bytes);
  float best = -INFINITY;
  int best_region = 0;
  for (int region = 0; region < in.regions_per_image; ++region) {
    const char* const from = in.regions + (image * in.regions_per_image + region) * in.region_pitch;
    float sum = 0;
    for (int k = lane; k < in.row_bytes / 4; k += 32) sum += unit[k] * reinterpret_cast<const float*>(from)[k];
#pragma unroll
    for (int mask = 16; mask >= 1; mask /= 2) sum += shuffle_xor(sum, mask);
    if (!is_better(sum, region, best, best_region)) continue;
    best = sum;
    best_region = region;
  }
  if (lane != 0) return;
  in.scores[image * in.all_parts + part] = best;
  in.argmax[image * in.all_parts + part] = best_region;
}

// A thread a score; the warp takes those of its threads that are NaN in turn.
__global__ inline void __launch_bounds__(THREADS) not_finite_kernel(const ForwardArguments in) {
  const int64_t own = int64_t(blockIdx.x) * THREADS + threadIdx.x;
  const bool known = own < in.images * in.parts;
  const float score = known ? in.scores[own / in.parts * in.all_parts + own % in.parts] : 0.f;
  for (uint32_t left = ballot(score != score); left != 0; left &= left - 1) {
    const int64_t found = own - int(threadIdx.x % 32) + lowest_bit(left);
    find_best(in, found / in.parts, int(found % in.parts));
  }
}

}  // namespace dpnet
