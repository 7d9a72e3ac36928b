// dU_p = sum over images b of g_bp x_b,r*(b,p), through the norm, and dX the other way round, on the GPU.
// Any shape. Each gradient row belongs to one block, which adds its terms in a fixed order: no atomics, the same bits.
#pragma once

#include "small_kernels.cuh"

namespace dpnet {

struct ArgmaxArguments {
  const float* grad_scores;     // [images, parts]
  const int* argmax;            // [images, parts]
  const float* parts_data;      // [parts, depth]
  const float* inverse_norms;   // [parts]
  int64_t image_stride;         // of the regions, in elements, as the next
  int64_t region_stride;
  int64_t images;
  int parts;
  int regions;
  int depth;
  int threads_per_row;  // a power of two, at most THREADS
};

// sums += weights[i] * row i, for i = first, first + step, ... < count; four loads are under way at a time.
template <class T>
__device__ __forceinline__ void add_rows(const T* base, const int64_t* rows, const float* weights, int first,
                                         int step, int count, float (&sums)[Piece<T>::size]) {
  int i = first;
  for (; i + 3 * step < count; i += 4 * step) {
    const Piece<T> pieces[4] = {Piece<T>(base + rows[i]), Piece<T>(base + rows[i + step]),
                                Piece<T>(base + rows[i + 2 * step]), Piece<T>(base + rows[i + 3 * step])};
#pragma unroll
    for (int n = 0; n < 4; ++n)
#pragma unroll
      for (int j = 0; j < Piece<T>::size; ++j) sums[j] += weights[i + n * step] * pieces[n].values[j];
  }
  for (; i < count; i += step) {
    const Piece<T> piece(base + rows[i]);
#pragma unroll
    for (int j = 0; j < Piece<T>::size; ++j) sums[j] += weights[i] * piece.values[j];
  }
}

// A block a part: dU_p = sum over images b of g_bp x_b,r*(b,p). Threads of a row share the columns, rows the images.
template <class T>
__global__ void __launch_bounds__(THREADS, 8) grad_parts_kernel(const ArgmaxArguments in, const T* regions,
                                                             float* grad_parts) {
  __shared__ float weights[THREADS];
  __shared__ int64_t rows[THREADS];
  __shared__ float partial[THREADS * Piece<T>::size];
  const int part = blockIdx.x, width = in.threads_per_row, height = THREADS / width;
  const int across = threadIdx.x % width, down = threadIdx.x / width;
  float* out = grad_parts + int64_t(part) * in.depth;
  for (int start = 0; start < in.depth; start += width * Piece<T>::size) {
    const int column = start + across * Piece<T>::size;
    float sums[Piece<T>::size] = {};
    for (int64_t first = 0; first < in.images; first += THREADS) {
      __syncthreads();
      const int64_t image = first + threadIdx.x;
      if (image < in.images) {
        weights[threadIdx.x] = in.grad_scores[image * in.parts + part];
        rows[threadIdx.x] = image * in.image_stride + in.argmax[image * in.parts + part] * in.region_stride;
      }
      __syncthreads();
      const int count = int(in.images - first < THREADS ? in.images - first : THREADS);
      if (column < in.depth) add_rows(regions + column, rows, weights, down, height, count, sums);
    }
#pragma unroll
    for (int j = 0; j < Piece<T>::size; ++j) partial[(down * Piece<T>::size + j) * width + across] = sums[j];
    __syncthreads();
    for (int k = threadIdx.x; k < width * Piece<T>::size && start + k < in.depth; k += THREADS) {
      float total = 0;
      for (int row = 0; row < height; ++row)
        total += partial[(row * Piece<T>::size + k % Piece<T>::size) * width + k / Piece<T>::size];
      out[start + k] = total;
    }
    __syncthreads();
  }
  remove_radial_component(in.parts_data + int64_t(part) * in.depth, in.inverse_norms[part], in.depth, out);
}

// A block a region: dX_br = sum over the parts p that chose it of g_bp u_p / |u_p|, in the order of the parts.
template <class T>
__global__ void __launch_bounds__(THREADS) grad_regions_kernel(const ArgmaxArguments in, T* grad_regions) {
  __shared__ uint32_t hits[WARPS];
  float* const sums = reinterpret_cast<float*>(dynamic_shared());
  const int64_t image = blockIdx.x / in.regions;
  const int region = int(blockIdx.x % in.regions);
  for (int k = threadIdx.x; k < in.depth; k += THREADS) sums[k] = 0;
  for (int first = 0; first < in.parts; first += THREADS) {
    const int own = first + threadIdx.x;
    const uint32_t bits = ballot(own < in.parts && in.argmax[image * in.parts + own] == region);
    __syncthreads();  // the hits before these have been read by all
    if (threadIdx.x % 32 == 0) hits[threadIdx.x / 32] = bits;
    __syncthreads();
    for (int warp = 0; warp < WARPS; ++warp) {
      for (uint32_t left = hits[warp]; left != 0; left &= left - 1) {
        const int part = first + 32 * warp + lowest_bit(left);
        const float weight = in.grad_scores[image * in.parts + part] * in.inverse_norms[part];
        const float* row = in.parts_data + int64_t(part) * in.depth;
        for (int k = threadIdx.x; k < in.depth; k += THREADS) sums[k] += weight * row[k];
      }
    }
  }
  T* out = grad_regions + int64_t(blockIdx.x) * in.depth;
  for (int k = threadIdx.x; k < in.depth; k += THREADS) out[k] = from_float<T>(sums[k]);
}

}  // namespace dpnet
