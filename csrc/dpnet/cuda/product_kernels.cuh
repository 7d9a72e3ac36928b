// Similarities that a product stored, read once: each part's best region and each region's softmax over the parts; or
// turned into their gradient in place. For `chunked.cpp`, any shape.
//
// A block takes the regions of one image and as many parts as a warp reads in one load of 16 bytes a lane. Its warps
// take eight regions in turn, so that eight loads are under way at once.
#pragma once

#include "small_kernels.cuh"

namespace dpnet {

template <class T>
constexpr int REGIONS_AT_ONCE = sizeof(T) == 8 ? 4 : 8;  // float64 has not the registers for eight
template <class T>
constexpr int PARTS_PER_LANE = 16 / int(sizeof(T));
template <class T>
constexpr int PARTS_PER_TILE = 32 * PARTS_PER_LANE<T>;

// Rows of similarities of some images with some parts, which are the parts from `first_part` on of `all_parts`.
template <class T>
struct StoredProduct {
  T* values;  // [images * regions, pitch], rows of whole 16 bytes
  int64_t first_image;
  int regions, pitch, parts, first_part, all_parts;

  COMMON_BOTH int tiles() const { return int(divide_up(parts, PARTS_PER_TILE<T>)); }
};

// What one lane works on.
template <class T>
struct LanePlace {
  int64_t image;  // within the product
  int tile, part, inside;

  __device__ __forceinline__ explicit LanePlace(const StoredProduct<T>& in)
      : image(blockIdx.x / in.tiles()),
        tile(int(blockIdx.x % in.tiles())),
        part(tile * PARTS_PER_TILE<T> + int(threadIdx.x % 32) * PARTS_PER_LANE<T>),
        inside(part < in.pitch) {}

  // The first of this lane's results in a matrix [images, all parts].
  __device__ __forceinline__ int64_t in_results(const StoredProduct<T>& in) const {
    return (in.first_image + image) * in.all_parts + in.first_part + part;
  }
  __device__ __forceinline__ T* in_product(const StoredProduct<T>& in, int region) const {
    return in.values + (image * in.regions + region) * in.pitch + part;
  }
};

// The softmax over a lane's parts, of which `count` are there.
template <class T>
__device__ __forceinline__ ShareOf<Accumulator<T>> lane_share(const Piece<T>& piece, int count, Accumulator<T> scale) {
  using A = Accumulator<T>;
  A values[PARTS_PER_LANE<T>], peak = -INFINITY, mass = 0, moment = 0;
#pragma unroll
  for (int i = 0; i < PARTS_PER_LANE<T>; ++i) {
    values[i] = i < count ? piece.values[i] : A(-INFINITY);
    peak = largest(peak, values[i]);
  }
  peak *= scale;
#pragma unroll
  for (int i = 0; i < PARTS_PER_LANE<T>; ++i) {
    const A shifted = values[i] * scale - peak, weight = exponential(shifted);
    mass += weight;
    moment += weight * largest(shifted, A(-1000));  // 0 * -inf where there is no part or a similarity is -inf
  }
  return {peak, mass, moment};
}

// Over the lanes of a warp, all regions together: each step halves what a lane keeps. Lane l ends with the share of
// region l / (32 / count).
template <class A, int count>
__device__ __forceinline__ ShareOf<A> warp_share(ShareOf<A> (&shares)[count]) {
  static_assert(count == 4 || count == 8);
  const int lane = threadIdx.x % 32;
#pragma unroll
  for (int step = 1; step <= (count == 8 ? 3 : 2); ++step) {
    const int half = count >> step, mask = 32 >> step;
#pragma unroll
    for (int i = 0; i < count / 2; ++i) {
      if (i >= half) continue;
      const bool upper = (lane & mask) != 0;
      const ShareOf<A> kept = upper ? shares[i + half] : shares[i], given = upper ? shares[i] : shares[i + half];
      shares[i] = merge(kept, shuffle_share(given, mask));
    }
  }
  ShareOf<A> share = shares[0];
#pragma unroll
  for (int mask = 16 / count; mask >= 1; mask /= 2) share = merge(share, shuffle_share(share, mask));
  return share;
}

// The best region of each part over the warps of a block, which have gone through different regions.
template <class T>
__device__ __forceinline__ void write_best(const StoredProduct<T>& in, const LanePlace<T>& at,
                                           const Accumulator<T> (&best)[PARTS_PER_LANE<T>],
                                           const int (&where)[PARTS_PER_LANE<T>], Accumulator<T>* scores,
                                           int* argmax) {
  using A = Accumulator<T>;
  __shared__ A values[WARPS][PARTS_PER_TILE<T>];
  __shared__ int regions[WARPS][PARTS_PER_TILE<T>];
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
#pragma unroll
  for (int i = 0; i < PARTS_PER_LANE<T>; ++i) {
    values[warp][i * 32 + lane] = best[i];  // neighbouring lanes in neighbouring banks
    regions[warp][i * 32 + lane] = where[i];
  }
  __syncthreads();
  const int64_t results = (in.first_image + at.image) * in.all_parts + in.first_part;
  for (int own = threadIdx.x; own < PARTS_PER_TILE<T>; own += THREADS) {
    const int part = at.tile * PARTS_PER_TILE<T> + own, slot = own % PARTS_PER_LANE<T> * 32 + own / PARTS_PER_LANE<T>;
    if (part >= in.parts) continue;
    A value = values[0][slot];
    int region = regions[0][slot];
    for (int other = 1; other < WARPS; ++other) {
      if (!is_better(values[other][slot], regions[other][slot], value, region)) continue;
      value = values[other][slot];
      region = regions[other][slot];
    }
    scores[results + part] = value;
    argmax[results + part] = region;
  }
}

// Scores and argmax of every part; with_entropy, the softmax of every region over each tile: [tiles, rows].
template <class T, bool with_entropy>
__global__ void __launch_bounds__(THREADS) reduce_kernel(const StoredProduct<T> in, Accumulator<T> scale,
                                                         Accumulator<T>* scores, int* argmax,
                                                         ShareOf<Accumulator<T>>* shares, int64_t rows) {
  using A = Accumulator<T>;
  constexpr int together = REGIONS_AT_ONCE<T>;
  const LanePlace<T> at(in);
  A best[PARTS_PER_LANE<T>];
  int where[PARTS_PER_LANE<T>];
#pragma unroll
  for (int i = 0; i < PARTS_PER_LANE<T>; ++i) best[i] = -INFINITY, where[i] = 0;
  for (int first = int(threadIdx.x / 32) * together; first < in.regions; first += WARPS * together) {
    uint4 bits[together];
#pragma unroll
    for (int r = 0; r < together; ++r)
      if (at.inside && first + r < in.regions) bits[r] = *reinterpret_cast<const uint4*>(at.in_product(in, first + r));
    ShareOf<A> own[together];
#pragma unroll
    for (int r = 0; r < together; ++r) {
      own[r] = {-INFINITY, 0, 0};
      if (!at.inside || first + r >= in.regions) continue;
      const Piece<T> piece(bits[r]);
#pragma unroll
      for (int i = 0; i < PARTS_PER_LANE<T>; ++i) {
        if (piece.values[i] <= best[i] || best[i] != best[i]) continue;
        best[i] = piece.values[i];
        where[i] = first + r;
      }
      if constexpr (with_entropy) own[r] = lane_share<T>(piece, in.parts - at.part, scale);
    }
    if constexpr (with_entropy) {
      const ShareOf<A> share = warp_share(own);
      const int lane = threadIdx.x % 32, width = 32 / together, region = first + lane / width;
      if (lane % width == 0 && region < in.regions) shares[at.tile * rows + at.image * in.regions + region] = share;
    }
  }
  write_best<T>(in, at, best, where, scores, argmax);
}

// Every similarity becomes dL/dS: -weight pi (log pi + H), and where its region is the part's best, + dL/dscore. Without
// entropy nothing is read. `weights` are upstream gradients over the temperature, [images, regions] of all images.
template <class T, bool with_entropy>
__global__ void __launch_bounds__(THREADS) slope_kernel(const StoredProduct<T> in, Accumulator<T> scale,
                                                        const Accumulator<T>* grad_scores, const int* argmax,
                                                        const Accumulator<T>* grad_entropy,
                                                        const Accumulator<T>* entropy,
                                                        const Accumulator<T>* log_partition) {
  using A = Accumulator<T>;
  const LanePlace<T> at(in);
  if (!at.inside) return;
  A through_score[PARTS_PER_LANE<T>];
  int best[PARTS_PER_LANE<T>];
#pragma unroll
  for (int i = 0; i < PARTS_PER_LANE<T>; ++i) {
    const bool known = grad_scores != nullptr && at.part + i < in.parts;
    through_score[i] = known ? grad_scores[at.in_results(in) + i] : A(0);
    best[i] = known ? argmax[at.in_results(in) + i] : -1;
  }
#pragma unroll 4
  for (int region = threadIdx.x / 32; region < in.regions; region += WARPS) {
    T* const place = at.in_product(in, region);
    A slope[PARTS_PER_LANE<T>] = {};
    if constexpr (with_entropy) {
      const Piece<T> piece(place);
      const int64_t row = (in.first_image + at.image) * in.regions + region;
      const A weight = grad_entropy[row] * scale, own_entropy = entropy[row], own_partition = log_partition[row];
#pragma unroll
      for (int i = 0; i < PARTS_PER_LANE<T>; ++i) {
        const A log_share = piece.values[i] * scale - own_partition;
        if (at.part + i < in.parts) slope[i] = -weight * exponential(log_share) * (log_share + own_entropy);
      }
    }
    uint4 bits;
    T* const each = reinterpret_cast<T*>(&bits);
#pragma unroll
    for (int i = 0; i < PARTS_PER_LANE<T>; ++i)
      each[i] = from_float<T>(slope[i] + (best[i] == region ? through_score[i] : A(0)));
    *reinterpret_cast<uint4*>(place) = bits;
  }
}

template <class T>
__global__ void __launch_bounds__(THREADS) add_kernel(const T* terms, int64_t count, Accumulator<T>* sums) {
  const int64_t at = int64_t(blockIdx.x) * THREADS + threadIdx.x;
  if (at < count) sums[at] += to_float(terms[at]);
}

// A block a part: the gradient of a unit part, in place, becomes that of the part.
template <class A>
__global__ void __launch_bounds__(THREADS) turn_parts_kernel(const A* parts, const A* inverse_norms, int depth,
                                                             A* gradient) {
  const int64_t at = int64_t(blockIdx.x) * depth;
  remove_radial_component(parts + at, inverse_norms[blockIdx.x], depth, gradient + at);
}

}  // namespace dpnet
