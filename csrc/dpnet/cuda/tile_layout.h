// Where things lie in a block of the tile kernel: plain integer arithmetic, for host and device.
// For every shape; how many images a block takes depends on R and on how many processors there are.
//
// A block multiplies 128 parts by whole images: their regions are its columns, image after image, taken TILE at a
// time. Factors arrive STAGE_BYTES of each row at a time, in a ring of STAGES buffers. Each of the 4 warps owns 32
// parts and all columns of the tile, so the maximum over an image never leaves a warp.
#pragma once

#include "../../common/pieces.h"

namespace dpnet {

constexpr int WARPS = 4;
constexpr int THREADS = 32 * WARPS;
constexpr int PARTS_PER_WARP = 32;
constexpr int PARTS_PER_BLOCK = WARPS * PARTS_PER_WARP;
constexpr int STAGE_BYTES = 128;  // of a row: 64 halves or 32 floats
constexpr int STEP_BYTES = 32;    // of a row in one tensor-core product
constexpr int STAGES = 3;

COMMON_BOTH constexpr int stage_size(int tile) { return (PARTS_PER_BLOCK + tile) * STAGE_BYTES; }

// Where 16-byte piece `piece` of a row lies: pieces are exchanged within a row by the row's number, so that eight
// rows read at once come from different banks.
COMMON_BOTH int swizzled(int row, int piece) { return row * STAGE_BYTES + ((piece ^ (row & 7)) << 4); }

// How many whole images a block takes, so that the last tile is not mostly empty and all processors have work.
inline int images_per_block(int64_t regions, int64_t images, int64_t part_tiles, int tile, int processors) {
  int best = 1;
  double least = 0;
  for (int count = 1; count <= 16; ++count) {
    const int64_t columns = count * regions, blocks = part_tiles * ((images + count - 1) / count);
    const double waste = double((columns + tile - 1) / tile * tile) / double(columns);
    if (count == 1 || (blocks >= 4 * int64_t(processors) && waste < 0.97 * least)) {
      best = count;
      least = waste;
    }
  }
  return best;
}

// The kernel for compute capability 9.0 keeps as many blocks as there are processors, which take work in turns: the
// columns of a tile, 128 where float32 must be exact and else 200 or 256, and how many whole images a piece of work has.
struct HopperWork {
  int tile, images;
};

// The choice that takes the fewest columns of tiles one after the other, empty ones included.
inline HopperWork hopper_work(int64_t regions, int64_t images, int64_t part_tiles, int processors, bool exact) {
  HopperWork best{};
  int64_t least = 0;
  for (const int tile : {128, 200, 256}) {
    if (exact != (tile == 128)) continue;
    for (int count = 1; count <= 64 && count <= images; ++count) {
      const int64_t turns = (part_tiles * ((images + count - 1) / count) + processors - 1) / processors;
      const int64_t columns = turns * ((count * regions + tile - 1) / tile * tile);
      if (best.tile != 0 && columns >= least) continue;
      best = {tile, count};
      least = columns;
    }
  }
  return best;
}

}  // namespace dpnet
