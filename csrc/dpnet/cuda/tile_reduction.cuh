// What a tile of similarities becomes in registers: each part's maximum over an image, each region's softmax sums.
// For the tile kernels, any shape. A warp holds `groups` times 16 parts and all columns of the tile.
//
// A block multiplies some parts by whole images: their regions are its columns, image after image, taken a tile at a
// time. Both kinds of tensor-core product leave part 8 h + lane / 4 and column 2 (lane % 4) + j in register 2 h + j.
#pragma once

#include "small_kernels.cuh"

namespace dpnet {

struct ForwardArguments {
  const char* units;    // unit parts, rows of row_bytes
  const char* regions;  // rows of row_bytes, region_pitch bytes apart, image after image
  float* scores;        // [images, all_parts], from the first of these parts on; so is argmax
  int* argmax;
  Share* shares;        // [part tiles, images * regions]
  int64_t region_pitch;
  int64_t images;
  int parts;
  int all_parts;
  int regions_per_image;
  int images_per_block;
  int row_bytes;
  float scale;  // 1 / temperature
};

// Which parts and images one block takes: `block` counts tiles of parts first.
struct TileWork {
  int first_part;
  int64_t first_image;
  int columns;

  __device__ __forceinline__ TileWork(const ForwardArguments& in, int64_t block) {
    const int tiles = int(divide_up(in.parts, PARTS_PER_BLOCK));
    first_part = int(block % tiles) * PARTS_PER_BLOCK;
    first_image = block / tiles * in.images_per_block;
    const int64_t left = in.images - first_image;
    columns = int(left < in.images_per_block ? left : in.images_per_block) * in.regions_per_image;
  }
};

template <int groups, int tile, int warps>
struct TileReduction {
  using Sums = float[groups][tile / 8][4];  // columns in eights
  static constexpr int rows = 2 * groups;   // parts of a thread

  const ForwardArguments& in;
  const TileWork work;
  const int warp, lane;  // the warp among those that hold sums
  float best[rows];
  int best_region[rows];

  __device__ TileReduction(const ForwardArguments& arguments, const TileWork& own, int own_warp)
      : in(arguments), work(own), warp(own_warp), lane(threadIdx.x % 32) {}

  // The part of row i of this thread.
  __device__ __forceinline__ int part(int i) const {
    return work.first_part + warp * 16 * groups + 8 * i + lane / 4;
  }

  // Extend the maximum of each image that has columns in this tile; write those whose last column it holds.
  __device__ void reduce_regions(const Sums& sums, int first_column) {
    const int end = min(first_column + tile, work.columns);
#pragma unroll 1
    for (int image = first_column / in.regions_per_image; image * in.regions_per_image < end; ++image) {
      const int start = image * in.regions_per_image - first_column, stop = start + in.regions_per_image;
      if (start >= 0) reset();
      scan(sums, start, stop);
      if (first_column + stop <= end) write(work.first_image + image);
    }
  }

  __device__ void reset() {
#pragma unroll
    for (int i = 0; i < rows; ++i) {
      best[i] = -INFINITY;
      best_region[i] = 0;
    }
  }

  // Extend the maximum by the tile's columns [start, stop), which may reach beyond it.
  __device__ void scan(const Sums& sums, int start, int stop) {
    const int from = start - 2 * (lane % 4), to = stop - 2 * (lane % 4);  // of this lane's columns
    float before[rows];
    int found[rows];
#pragma unroll
    for (int i = 0; i < rows; ++i) {
      before[i] = best[i];
      found[i] = -1;
    }
#pragma unroll
    for (int eight = 0; eight < tile / 8; ++eight) {
      if (8 * eight + 8 <= start || 8 * eight >= stop) continue;
#pragma unroll
      for (int j = 0; j < 2; ++j) {
        const bool inside = 8 * eight + j >= from && 8 * eight + j < to;
#pragma unroll
        for (int i = 0; i < rows; ++i) {
          const float value = sums[i / 2][eight][2 * (i % 2) + j];
          found[i] = inside && value > best[i] ? 8 * eight + j : found[i];
          best[i] = inside ? largest_or_nan(best[i], value) : best[i];
        }
      }
    }
#pragma unroll
    for (int i = 0; i < rows; ++i) {
      if (best[i] != best[i] && before[i] == before[i]) found[i] = first_nan(sums, i, from, to);
      if (found[i] >= 0) best_region[i] = found[i] - from;
    }
  }

  // Where NaN comes first; it hardly ever comes at all.
  __device__ int first_nan(const Sums& sums, int i, int from, int to) {
    int found = 0;
#pragma unroll
    for (int place = tile / 4 - 1; place >= 0; --place) {
      const int column = 8 * (place / 2) + place % 2;
      const float value = sums[i / 2][place / 2][2 * (i % 2) + place % 2];
      if (value != value && column >= from && column < to) found = column;
    }
    return found;
  }

  __device__ void write(int64_t image) {
#pragma unroll
    for (int i = 0; i < rows; ++i) {
      float value = best[i];
      int region = best_region[i];
#pragma unroll
      for (int mask = 1; mask <= 2; mask *= 2) {
        const float other = shuffle_xor(value, mask);
        const int other_region = shuffle_xor(region, mask);
        if (is_better(other, other_region, value, region)) {
          value = other;
          region = other_region;
        }
      }
      if (lane % 4 == 0 && part(i) < in.parts) {
        in.scores[image * in.all_parts + part(i)] = value;
        in.argmax[image * in.all_parts + part(i)] = region;
      }
    }
  }

  // The softmax of each column over this block's parts, first within a warp and then over the warps, in `partial`
  // [warps][tile]; `wait` is a barrier of all that hold sums.
  template <class Wait>
  __device__ void reduce_parts(Sums& sums, int first_column, Share* partial, const Wait& wait) {
    const int parts = in.parts - work.first_part;
    wait();  // what was in `partial` has been read
    if (parts < PARTS_PER_BLOCK) leave_out_padding(sums);
#pragma unroll
    for (int eight = 0; eight < tile / 8; eight += 4) {
      const Share share = own_share(sums, eight);
      const int column = 8 * eight + 8 * (lane / 8) + 2 * (lane % 4) + lane / 4 % 2;
      if (column < tile) partial[warp * tile + column] = share;
    }
    wait();
    const int column = 32 * warp + lane;
    if (column >= tile || first_column + column >= work.columns) return;
    Share total = partial[column];
    for (int other = 1; other < warps && other * 16 * groups < parts; ++other)  // a warp of padding alone has nothing
      total = merge(total, partial[other * tile + column]);
    const int64_t row = work.first_image * in.regions_per_image + first_column + column;
    in.shares[work.first_part / PARTS_PER_BLOCK * in.images * in.regions_per_image + row] = total;
  }

  // No part is none of a softmax.
  __device__ void leave_out_padding(Sums& sums) {
#pragma unroll
    for (int i = 0; i < rows; ++i) {
      const bool exists = part(i) < in.parts;
#pragma unroll
      for (int eight = 0; eight < tile / 8; ++eight)
#pragma unroll
        for (int j = 0; j < 2; ++j) {
          float& sum = sums[i / 2][eight][2 * (i % 2) + j];
          sum = exists ? sum : -INFINITY;
        }
    }
  }

  // A warp's softmax sums of one of the 32 columns from `first_eight` on. Eight lanes hold a column and each lane holds
  // eight: column number lane / 4 of those is left to it.
  __device__ Share own_share(const Sums& sums, int first_eight) {
    const float scale = in.scale * 1.44269504f;  // powers of 2 take one instruction
    float peaks[8], masses[8], moments[8];
#pragma unroll
    for (int own = 0; own < 8; ++own) {
      const int eight = first_eight + own / 2;
      peaks[own] = masses[own] = moments[own] = 0;
      if (eight >= tile / 8) continue;
      float peak = sums[0][eight][own % 2];
#pragma unroll
      for (int i = 1; i < rows; ++i) peak = largest(peak, sums[i / 2][eight][2 * (i % 2) + own % 2]);
#pragma unroll
      for (int mask = 4; mask <= 16; mask *= 2) peak = largest(peak, shuffle_xor(peak, mask));
      peaks[own] = peak * scale;
#pragma unroll
      for (int i = 0; i < rows; ++i) {
        const float shifted = sums[i / 2][eight][2 * (i % 2) + own % 2] * scale - peaks[own];
        const float weight = power_of_two(shifted);
        masses[own] += weight;
        moments[own] += weight * largest(shifted, -150.f);  // 0 * -inf where a similarity is -inf
      }
    }
    constexpr float log_two = 0.693147181f;
    const Share share{left_to_lane<false>(peaks), left_to_lane<true>(masses), left_to_lane<true>(moments)};
    return {share.peak * log_two, share.mass, share.moment * log_two};
  }

  // Number lane / 4 of eight, or its sum over the lanes that hold this column: each step halves what a lane keeps.
  template <bool sum>
  __device__ float left_to_lane(float (&values)[8]) {
#pragma unroll
    for (int half = 4; half >= 1; half /= 2) {
      const bool upper = (lane & 4 * half) != 0;
#pragma unroll
      for (int i = 0; i < half; ++i) {
        const float given = upper ? values[i] : values[i + half];
        values[i] = upper ? values[i + half] : values[i];
        if constexpr (sum) values[i] += shuffle_xor(given, 4 * half);
      }
    }
    return values[0];
  }
};

}  // namespace dpnet
