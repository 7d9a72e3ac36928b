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
#pragma unroll
      for (int eight = 0; eight < tile / 8; ++eight) {
        if (8 * eight + 8 <= start || 8 * eight >= stop) continue;
        consider(sums, eight, start, stop);
      }
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

  __device__ void consider(const Sums& sums, int eight, int start, int stop) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int column = 8 * eight + 2 * (lane % 4) + j;
      if (column < start || column >= stop) continue;
#pragma unroll
      for (int i = 0; i < rows; ++i) {
        const float value = sums[i / 2][eight][2 * (i % 2) + j];
        if (!(value <= best[i]) && best[i] == best[i]) {
          best[i] = value;
          best_region[i] = column - start;
        }
      }
    }
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
  __device__ void reduce_parts(const Sums& sums, int first_column, Share* partial, const Wait& wait) {
    wait();  // what was in `partial` has been read
#pragma unroll
    for (int i = 0; i < tile / 4; ++i) {
      const Share share = column_share(sums, i / 2, i % 2);
      if (lane < 4) partial[warp * tile + 8 * (i / 2) + 2 * lane + i % 2] = share;
    }
    wait();
    const int column = 32 * warp + lane;
    if (column >= tile || first_column + column >= work.columns) return;
    Share total = partial[column];
    for (int other = 1; other < warps; ++other) total = merge(total, partial[other * tile + column]);
    const int64_t row = work.first_image * in.regions_per_image + first_column + column;
    in.shares[work.first_part / PARTS_PER_BLOCK * in.images * in.regions_per_image + row] = total;
  }

  __device__ Share column_share(const Sums& sums, int eight, int j) {
    float peak = -INFINITY;
#pragma unroll
    for (int i = 0; i < rows; ++i)
      if (part(i) < in.parts) peak = fmaxf(peak, sums[i / 2][eight][2 * (i % 2) + j] * in.scale);
#pragma unroll
    for (int mask = 4; mask <= 16; mask *= 2) peak = fmaxf(peak, shuffle_xor(peak, mask));
    float mass = 0, moment = 0;
#pragma unroll
    for (int i = 0; i < rows; ++i) {
      if (part(i) >= in.parts) continue;
      const float shifted = sums[i / 2][eight][2 * (i % 2) + j] * in.scale - peak;
      const float weight = exponential(shifted);
      mass += weight;
      moment += weight * fmaxf(shifted, -100.f);  // 0 * -inf where a similarity is -inf
    }
#pragma unroll
    for (int mask = 4; mask <= 16; mask *= 2) {
      mass += shuffle_xor(mass, mask);
      moment += shuffle_xor(moment, mask);
    }
    return {peak, mass, moment};
  }
};

}  // namespace dpnet
