// A product S = X W^T per tile of 128 parts and some regions on the GPU, its maxima and softmax sums in registers.
// For `forward.cu`, any shape; `tile_layout.h` cuts it into blocks.
#pragma once

#include "small_kernels.cuh"

namespace dpnet {

struct ForwardArguments {
  const char* units;    // unit parts, rows of row_bytes
  const char* regions;  // rows of row_bytes, region_pitch bytes apart, image after image
  float* scores;        // [images, parts]
  int* argmax;          // [images, parts]
  Share* shares;        // [part tiles, images * regions]
  int64_t region_pitch;
  int64_t images;
  int parts;
  int regions_per_image;
  int images_per_block;
  int row_bytes;
  float scale;  // 1 / temperature
};

// tf32x3 keeps a second set of sums, for half as many columns.
template <Math math>
constexpr int TILE = math == Math::tf32x3 ? 64 : 128;

template <Math math>
struct ForwardTile {
  static constexpr int tile = TILE<math>;
  static constexpr int rows_per_thread = (PARTS_PER_BLOCK + tile) / (THREADS / 8);
  using Sums = float[2][tile / 8][4];  // two groups of 16 parts, columns in eights, as the product leaves them

  const ForwardArguments& in;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  const int first_part;
  const int64_t first_image;
  const int columns;  // of this block
  float best[2][2];
  int best_region[2][2];

  __device__ ForwardTile(const ForwardArguments& arguments, int64_t block)
      : in(arguments),
        first_part(int(block % part_tiles()) * PARTS_PER_BLOCK),
        first_image(block / part_tiles() * in.images_per_block),
        columns(int(min64(in.images - first_image, in.images_per_block)) * in.regions_per_image) {}

  __device__ int part_tiles() const { return (in.parts + PARTS_PER_BLOCK - 1) / PARTS_PER_BLOCK; }
  __device__ static int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }

  // Begin to copy one stage: eight threads a row, 16 rows at a time, parts first and then columns.
  __device__ void load(char* buffer, int first_column, int first_byte) {
    const int row = threadIdx.x / 8, piece = threadIdx.x % 8;
    const int byte = first_byte + 16 * piece;
    const bool inside = byte < in.row_bytes;
    char* to = buffer + swizzled(row, piece);
#pragma unroll
    for (int i = 0; i < PARTS_PER_BLOCK / 16; ++i) {
      const int part = first_part + row + 16 * i;
      const bool valid = inside && part < in.parts;
      const char* from = valid ? in.units + int64_t(part) * in.row_bytes + byte : in.units;
      copy_async(to + 16 * i * STAGE_BYTES, from, valid);
    }
    to += PARTS_PER_BLOCK * STAGE_BYTES;
    const char* from = in.regions + (first_image * in.regions_per_image + first_column + row) * in.region_pitch + byte;
#pragma unroll
    for (int i = 0; i < tile / 16; ++i) {
      const bool valid = inside && first_column + row + 16 * i < columns;
      copy_async(to + 16 * i * STAGE_BYTES, valid ? from + 16 * i * in.region_pitch : in.regions, valid);
    }
  }

  // Multiply one stage into `sums`. A tile that is not full leaves out columns, sixteen at a time; a full one has
  // no branches, so that loads and products overlap.
  __device__ void multiply(const char* buffer, int used, Sums& sums) {
    if (used > tile - 16) {
      multiply_columns<true>(buffer, used, sums);
    } else {
      multiply_columns<false>(buffer, used, sums);
    }
  }

  template <bool full>
  __device__ void multiply_columns(const char* buffer, int used, Sums& sums) {
#pragma unroll
    for (int step = 0; step < STAGE_BYTES / STEP_BYTES; ++step) {
      uint32_t a[2][4];
#pragma unroll
      for (int group = 0; group < 2; ++group) {
        const int row = warp * PARTS_PER_WARP + group * 16 + (lane & 15);
        load_matrices(a[group], buffer + swizzled(row, 2 * step + (lane >> 4)));
      }
#pragma unroll
      for (int pair = 0; pair < tile / 16; ++pair) {
        if (!full && pair * 16 >= used) continue;
        uint32_t b[4];
        const int row = PARTS_PER_BLOCK + pair * 16 + (lane & 7) + ((lane >> 4) << 3);
        load_matrices(b, buffer + swizzled(row, 2 * step + ((lane >> 3) & 1)));
        const uint32_t left[2] = {b[0], b[1]}, right[2] = {b[2], b[3]};
#pragma unroll
        for (int group = 0; group < 2; ++group) {
          product(sums[group][2 * pair], a[group], left);
          product(sums[group][2 * pair + 1], a[group], right);
        }
      }
    }
  }

  __device__ static void product(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    if constexpr (math == Math::bf16 || math == Math::f16) {
      multiply_add<math>(sums, a, b);
    } else {
      uint32_t a_large[4], a_small[4], b_large[2], b_small[2];
      split(a, a_large, a_small);
      split(b, b_large, b_small);
      if constexpr (math == Math::tf32x3) {
        multiply_add<math>(sums, a_small, b_large);
        multiply_add<math>(sums, a_large, b_small);
      }
      multiply_add<math>(sums, a_large, b_large);
    }
  }

  template <int count>
  __device__ static void split(const uint32_t (&bits)[count], uint32_t (&large)[count], uint32_t (&small)[count]) {
#pragma unroll
    for (int i = 0; i < count; ++i) {
      const float value = __uint_as_float(bits[i]);
      large[i] = round_tf32(value);
      small[i] = round_tf32(value - __uint_as_float(large[i]));
    }
  }

  // Extend the maximum of each image that has columns in this tile; write those whose last column it holds.
  __device__ void reduce_regions(const Sums& sums, int first_column) {
    const int end = min(first_column + tile, columns);
#pragma unroll 1
    for (int image = first_column / in.regions_per_image; image * in.regions_per_image < end; ++image) {
      const int start = image * in.regions_per_image - first_column, stop = start + in.regions_per_image;
      if (start >= 0) reset();
#pragma unroll
      for (int eight = 0; eight < tile / 8; ++eight) {
        if (8 * eight + 8 <= start || 8 * eight >= stop) continue;
        consider(sums, eight, start, stop);
      }
      if (first_column + stop <= end) write(first_image + image);
    }
  }

  __device__ void reset() {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      best[i / 2][i % 2] = -INFINITY;
      best_region[i / 2][i % 2] = 0;
    }
  }

  // Register 2 h + j of a product holds part 8 h + lane / 4 and column 2 (lane % 4) + j.
  __device__ void consider(const Sums& sums, int eight, int start, int stop) {
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      const int column = 8 * eight + 2 * (lane % 4) + j;
      if (column < start || column >= stop) continue;
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        const float value = sums[i / 2][eight][2 * (i % 2) + j];
        float& top = best[i / 2][i % 2];
        if (!(value <= top) && top == top) {
          top = value;
          best_region[i / 2][i % 2] = column - start;
        }
      }
    }
  }

  __device__ void write(int64_t image) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float value = best[i / 2][i % 2];
      int region = best_region[i / 2][i % 2];
#pragma unroll
      for (int mask = 1; mask <= 2; mask *= 2) {
        const float other = shuffle_xor(value, mask);
        const int other_region = shuffle_xor(region, mask);
        if (is_better(other, other_region, value, region)) {
          value = other;
          region = other_region;
        }
      }
      const int part = first_part + warp * PARTS_PER_WARP + 16 * (i / 2) + 8 * (i % 2) + lane / 4;
      if (lane % 4 == 0 && part < in.parts) {
        in.scores[image * in.parts + part] = value;
        in.argmax[image * in.parts + part] = region;
      }
    }
  }

  // The softmax of each column over this block's parts, first within a warp and then over the warps in `buffer`.
  __device__ void reduce_parts(const Sums& sums, int first_column, char* buffer) {
    Share* partial = reinterpret_cast<Share*>(buffer);
    __syncthreads();  // the last stage has been read
#pragma unroll
    for (int i = 0; i < tile / 4; ++i) {
      const Share share = column_share(sums, i / 2, i % 2);
      if (lane < 4) partial[warp * tile + 8 * (i / 2) + 2 * lane + i % 2] = share;
    }
    __syncthreads();
    const int column = threadIdx.x;
    if (column >= tile || first_column + column >= columns) return;
    Share total = partial[column];
    for (int other = 1; other < WARPS; ++other) total = merge(total, partial[other * tile + column]);
    const int64_t row = first_image * in.regions_per_image + first_column + column;
    in.shares[first_part / PARTS_PER_BLOCK * in.images * in.regions_per_image + row] = total;
  }

  __device__ Share column_share(const Sums& sums, int eight, int j) {
    const int own = first_part + warp * PARTS_PER_WARP + lane / 4;
    float peak = -INFINITY;
#pragma unroll
    for (int i = 0; i < 4; ++i)
      if (own + 8 * i < in.parts) peak = fmaxf(peak, sums[i / 2][eight][2 * (i % 2) + j] * in.scale);
#pragma unroll
    for (int mask = 4; mask <= 16; mask *= 2) peak = fmaxf(peak, shuffle_xor(peak, mask));
    float mass = 0, moment = 0;
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      if (own + 8 * i >= in.parts) continue;
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

  __device__ static void clear(Sums& sums) {
#pragma unroll
    for (int i = 0; i < tile; ++i) sums[i / (tile / 2)][i % (tile / 2) / 4][i % 4] = 0;
  }

  __device__ static void add(Sums& to, Sums& from) {
#pragma unroll
    for (int i = 0; i < tile; ++i)
      to[i / (tile / 2)][i % (tile / 2) / 4][i % 4] += from[i / (tile / 2)][i % (tile / 2) / 4][i % 4];
  }
};

template <Math math, bool with_entropy>
__global__ void __launch_bounds__(THREADS, 2) forward_kernel(const ForwardArguments in) {
  using Tile = ForwardTile<math>;
  Tile block(in, blockIdx.x);
  char* const ring = dynamic_shared();
  const int depth_stages = (in.row_bytes + STAGE_BYTES - 1) / STAGE_BYTES;
  int load_column = 0, load_depth = 0, load_buffer = 0, buffer = 0;
  const auto load_next = [&] {
    if (load_column < block.columns) {
      block.load(ring + load_buffer * stage_size(Tile::tile), load_column, load_depth * STAGE_BYTES);
      if (++load_depth == depth_stages) load_depth = 0, load_column += Tile::tile;
      load_buffer = (load_buffer + 1) % STAGES;
    }
    commit_copies();
  };
  for (int stage = 0; stage < STAGES - 1; ++stage) load_next();
#pragma unroll 1
  for (int first_column = 0; first_column < block.columns; first_column += Tile::tile) {
    typename Tile::Sums sums;
    Tile::clear(sums);
    char* current = ring;
#pragma unroll 1
    for (int stage = 0; stage < depth_stages; ++stage) {
      wait_copies<STAGES - 2>();
      __syncthreads();  // this stage has arrived for all, and the one before has been read by all
      load_next();
      current = ring + buffer * stage_size(Tile::tile);
      buffer = (buffer + 1) % STAGES;
      if constexpr (math == Math::tf32x3) {
        typename Tile::Sums fresh;  // tensor cores round sums towards zero: add up few products there, the rest here
        Tile::clear(fresh);
        block.multiply(current, block.columns - first_column, fresh);
        Tile::add(sums, fresh);
      } else {
        block.multiply(current, block.columns - first_column, sums);
      }
    }
    block.reduce_regions(sums, first_column);
    if constexpr (with_entropy) block.reduce_parts(sums, first_column, current);
  }
}

}  // namespace dpnet
