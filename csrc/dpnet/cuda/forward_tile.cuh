// A product S = X W^T per tile of 128 parts and some regions on the GPU, its maxima and softmax sums in registers.
// For `forward.cu`, any shape; `tile_layout.h` cuts it into blocks.
#pragma once

#include "tile_reduction.cuh"

namespace dpnet {

// tf32x3 keeps a second set of sums, for half as many columns.
template <Math math>
constexpr int TILE = math == Math::tf32x3 ? 64 : 128;

template <Math math>
struct ForwardTile {
  static constexpr int tile = TILE<math>;
  using Reduction = TileReduction<2, tile, WARPS>;
  using Sums = typename Reduction::Sums;

  const ForwardArguments& in;
  const TileWork work;
  const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;

  __device__ ForwardTile(const ForwardArguments& arguments, int64_t block) : in(arguments), work(arguments, block) {}

  // Begin to copy one stage: eight threads a row, 16 rows at a time, parts first and then columns.
  __device__ void load(char* buffer, int first_column, int first_byte) {
    const int row = threadIdx.x / 8, piece = threadIdx.x % 8;
    const int byte = first_byte + 16 * piece;
    const bool inside = byte < in.row_bytes;
    char* to = buffer + swizzled(row, piece);
#pragma unroll
    for (int i = 0; i < PARTS_PER_BLOCK / 16; ++i) {
      const int part = work.first_part + row + 16 * i;
      const bool valid = inside && part < in.parts;
      const char* from = valid ? in.units + int64_t(part) * in.row_bytes + byte : in.units;
      copy_async(to + 16 * i * STAGE_BYTES, from, valid);
    }
    to += PARTS_PER_BLOCK * STAGE_BYTES;
    const int64_t first_row = work.first_image * in.regions_per_image + first_column + row;
    const char* from = in.regions + first_row * in.region_pitch + byte;
#pragma unroll
    for (int i = 0; i < tile / 16; ++i) {
      const bool valid = inside && first_column + row + 16 * i < work.columns;
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
  typename Tile::Reduction reduction(in, block.work, block.warp);
  const int columns = block.work.columns;
  char* const ring = dynamic_shared();
  const int depth_stages = (in.row_bytes + STAGE_BYTES - 1) / STAGE_BYTES;
  int load_column = 0, load_depth = 0, load_buffer = 0, buffer = 0;
  const auto load_next = [&] {
    if (load_column < columns) {
      block.load(ring + load_buffer * stage_size(Tile::tile), load_column, load_depth * STAGE_BYTES);
      if (++load_depth == depth_stages) load_depth = 0, load_column += Tile::tile;
      load_buffer = (load_buffer + 1) % STAGES;
    }
    commit_copies();
  };
  for (int stage = 0; stage < STAGES - 1; ++stage) load_next();
#pragma unroll 1
  for (int first_column = 0; first_column < columns; first_column += Tile::tile) {
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
        block.multiply(current, columns - first_column, fresh);
        Tile::add(sums, fresh);
      } else {
        block.multiply(current, columns - first_column, sums);
      }
    }
    reduction.reduce_regions(sums, first_column);
    if constexpr (with_entropy) {
      // The last stage that was read makes room.
      reduction.reduce_parts(sums, first_column, reinterpret_cast<Share*>(current), [] { __syncthreads(); });
    }
  }
}

}  // namespace dpnet
