// A product S = X W^T per tile of 128 parts and up to 256 regions on compute capability 9.0, its maxima and softmax sums
// in registers. For `hopper.cu`, any shape.
//
// A block stays on its processor and takes work as long as there is any. One thread copies stages of both factors ahead
// of the products, across tiles and work, so that copies go on while maxima are taken; two warpgroups of 64 parts each
// multiply. A stage is free again when the eight warps that multiply say so.
//
// Float32 that must be exact is three products of TF32: the tensor cores cut off what TF32 has not, and the warps that
// multiply write what is cut off beside, for the next stage while the products of this one run. Few products are added
// up in the tensor cores, which round sums towards zero; a stage's sums join the others in float32.
#pragma once

#include "hopper_products.cuh"
#include "tile_reduction.cuh"

namespace dpnet {

constexpr int WARPGROUP = 128;
constexpr int HOPPER_THREADS = 3 * WARPGROUP;
constexpr int HOPPER_WARPS = 8;  // that multiply
constexpr int HOPPER_STAGES = 4;
constexpr int HOPPER_ALIGNMENT = 1024;  // of a stage, for the exchange of pieces

template <int tile>
constexpr int HOPPER_STAGE = (PARTS_PER_BLOCK + tile) * STAGE_BYTES;

// Stages of what TF32 cuts off: one is read while the next is written.
template <Math math>
constexpr int HOPPER_REST_STAGES = math == Math::tf32x3 ? 2 : 0;

// Shared memory: the stages, a softmax of each column and warp, two barriers a stage.
template <Math math, int tile, bool with_entropy>
constexpr int HOPPER_SHARED = HOPPER_ALIGNMENT + (HOPPER_STAGES + HOPPER_REST_STAGES<math>)*HOPPER_STAGE<tile> +
                              (with_entropy ? HOPPER_WARPS * tile * int(sizeof(Share)) : 0) +
                              2 * HOPPER_STAGES * int(sizeof(CopyBarrier));

// Where the next stage is, for who fills and who reads.
struct RingPlace {
  int stage = 0, phase = 0;

  __device__ __forceinline__ void advance() {
    if (++stage == HOPPER_STAGES) stage = 0, phase ^= 1;
  }
};

template <Math math, int tile, bool with_entropy>
struct HopperBlock {
  using Reduction = TileReduction<1, tile, HOPPER_WARPS>;
  using Sums = typename Reduction::Sums;
  static constexpr bool exact = math == Math::tf32x3;
  static constexpr int elements = STAGE_BYTES / (exact || math == Math::tf32 ? 4 : 2);  // of a row in a stage
  static constexpr int steps = STAGE_BYTES / STEP_BYTES;

  const ForwardArguments& in;
  const int depth_stages;
  const int64_t work;  // in all
  char *stages, *rests;
  Share* partial;
  CopyBarrier *full, *empty;

  __device__ HopperBlock(const ForwardArguments& arguments, int64_t all_work)
      : in(arguments), depth_stages((in.row_bytes + STAGE_BYTES - 1) / STAGE_BYTES), work(all_work) {
    char* memory = dynamic_shared();
    memory += (HOPPER_ALIGNMENT - shared_address(memory) % HOPPER_ALIGNMENT) % HOPPER_ALIGNMENT;
    stages = memory;
    rests = memory + HOPPER_STAGES * HOPPER_STAGE<tile>;
    full = reinterpret_cast<CopyBarrier*>(rests + HOPPER_REST_STAGES<math> * HOPPER_STAGE<tile>);
    empty = full + HOPPER_STAGES;
    partial = reinterpret_cast<Share*>(empty + HOPPER_STAGES);
  }

  __device__ void init_barriers() {
    if (threadIdx.x == 0) {
      for (int stage = 0; stage < HOPPER_STAGES; ++stage) {
        init_barrier(full + stage, 1);
        init_barrier(empty + stage, HOPPER_WARPS);
      }
      publish_barriers();
    }
    __syncthreads();
  }

  // One thread: all stages of all tiles of this block's work.
  __device__ void copy(const TileMap& units, const TileMap& regions) {
    RingPlace place;
    for (int64_t item = blockIdx.x; item < work; item += gridDim.x) {
      const TileWork own(in, item);
      const int first_row = int(own.first_image) * in.regions_per_image;
      for (int first_column = 0; first_column < own.columns; first_column += tile) {
        for (int depth = 0; depth < depth_stages; ++depth, place.advance()) {
          wait_phase(empty + place.stage, place.phase ^ 1);  // the first round finds all of them free
          arrive_expecting(full + place.stage, HOPPER_STAGE<tile>);
          char* const to = stages + place.stage * HOPPER_STAGE<tile>;
          copy_tile(to, units, depth * elements, own.first_part, full + place.stage);
          copy_tile(to + PARTS_PER_BLOCK * STAGE_BYTES, regions, depth * elements, first_row + first_column,
                    full + place.stage);
        }
      }
    }
  }

  // Two warpgroups: the products of what arrives, and their reductions.
  __device__ void multiply() {
    const int warp = threadIdx.x / 32 - WARPGROUP / 32;
    RingPlace place;
    for (int64_t item = blockIdx.x; item < work; item += gridDim.x) {
      Reduction reduction(in, TileWork(in, item), warp);
      for (int first_column = 0; first_column < reduction.work.columns; first_column += tile) {
        Sums sums;
        if constexpr (exact) {
          multiply_exactly(sums[0], warp / 4, place);
        } else {
          multiply_tile(sums[0], warp / 4, place);
        }
        reduction.reduce_regions(sums, first_column);
        if constexpr (with_entropy)
          reduction.reduce_parts(sums, first_column, partial, [] { wait_for<1, 2 * WARPGROUP>(); });
      }
    }
  }

  __device__ void multiply_tile(float (&sums)[tile / 8][4], int group, RingPlace& place) {
    int before = 0;  // the stage whose products may still be under way
    pin(sums);
#pragma unroll 1
    for (int depth = 0; depth < depth_stages; ++depth, place.advance()) {
      wait_phase(full + place.stage, place.phase);
      const char* const stage = stages + place.stage * HOPPER_STAGE<tile>;
      order_products();
      add_stage(sums, stage, stage, group, depth > 0);
      commit_products();
      if (depth > 0) {
        wait_products<1>();
        release(before);
      }
      before = place.stage;
    }
    wait_products<0>();
    pin(sums);
    release(before);
  }

  __device__ void multiply_exactly(float (&sums)[tile / 8][4], int group, RingPlace& place) {
#pragma unroll
    for (int i = 0; i < tile / 2; ++i) sums[i / 4][i % 4] = 0;
    wait_phase(full + place.stage, place.phase);
    write_rest(stages + place.stage * HOPPER_STAGE<tile>, rests);
    wait_for<2, 2 * WARPGROUP>();
#pragma unroll 1
    for (int depth = 0; depth < depth_stages; ++depth) {
      const char* const stage = stages + place.stage * HOPPER_STAGE<tile>;
      const char* const rest = rests + depth % 2 * HOPPER_STAGE<tile>;
      const int current = place.stage;
      place.advance();
      float fresh[tile / 8][4];
      pin(fresh);
      order_products();
      add_stage(fresh, rest, stage, group, false);
      add_stage(fresh, stage, rest, group, true);
      add_stage(fresh, stage, stage, group, true);
      commit_products();
      if (depth + 1 < depth_stages) {
        wait_phase(full + place.stage, place.phase);
        write_rest(stages + place.stage * HOPPER_STAGE<tile>, rests + (depth + 1) % 2 * HOPPER_STAGE<tile>);
      }
      wait_products<0>();
      pin(fresh);
      release(current);
#pragma unroll
      for (int i = 0; i < tile / 2; ++i) sums[i / 4][i % 4] += fresh[i / 4][i % 4];
      wait_for<2, 2 * WARPGROUP>();  // what was written of the next stage is there, what was read of this one is free
    }
  }

  // The products of a stage: parts as they lie in one place, regions in another.
  __device__ void add_stage(float (&sums)[tile / 8][4], const char* of_parts, const char* of_regions, int group,
                            bool added) {
    const char* const a = of_parts + group * 64 * STAGE_BYTES;
    const char* const b = of_regions + PARTS_PER_BLOCK * STAGE_BYTES;
#pragma unroll
    for (int step = 0; step < steps; ++step)
      begin_products<math, tile>(sums, factor(a + step * STEP_BYTES), factor(b + step * STEP_BYTES), added || step > 0);
  }

  // Of every number of a stage what TF32 cuts off, rounded to TF32, in the same place of another; by all that multiply.
  __device__ void write_rest(const char* stage, char* rest) {
#pragma unroll 4
    for (int at = (int(threadIdx.x) - WARPGROUP) * 16; at < HOPPER_STAGE<tile>; at += 2 * WARPGROUP * 16) {
      uint4 bits = *reinterpret_cast<const uint4*>(stage + at);
      bits = {cut_off(bits.x), cut_off(bits.y), cut_off(bits.z), cut_off(bits.w)};
      *reinterpret_cast<uint4*>(rest + at) = bits;
    }
    publish_writes();
  }

  __device__ static uint32_t cut_off(uint32_t bits) {
    return round_tf32(__uint_as_float(bits) - __uint_as_float(bits & ~0x1fffu));
  }

  __device__ void release(int stage) {
    if (threadIdx.x % 32 == 0) arrive(empty + stage);
  }
};

template <Math math, int tile, bool with_entropy>
__global__ void __launch_bounds__(HOPPER_THREADS, 1)
    hopper_kernel(const ForwardArguments in, DPNET_TILE_MAP units, DPNET_TILE_MAP regions, int64_t work) {
#if defined(DPNET_EMULATION) || defined(__CUDA_ARCH_FEAT_SM90_ALL)
  HopperBlock<math, tile, with_entropy> block(in, work);
  block.init_barriers();
  if (threadIdx.x < WARPGROUP) {
    give_registers<40>();
    if (threadIdx.x == 0) block.copy(units, regions);
  } else {
    take_registers<232>();
    block.multiply();
  }
#endif
}

}  // namespace dpnet
