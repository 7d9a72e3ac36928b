// What compute capability 9.0 adds, emulated on the CPU: copies of tiles, barriers that count bytes, products of factors
// in shared memory. Layouts are those of the PTX manual for cp.async.bulk.tensor and wgmma with 128-byte swizzling.
#pragma once

#include <map>

namespace dpnet {

// Rows of `row_bytes`, `pitch` apart; tiles of `height` rows and 128 bytes. A map of TF32 rounds what it copies.
struct TileMap {
  const char* base;
  int64_t row_bytes, pitch, rows;
  int height, element_bytes;
  bool is_tf32;
};
#define DPNET_TILE_MAP const dpnet::TileMap&

using CopyBarrier = uint64_t;

namespace emulated {

struct State {
  int arrivals, missing, bytes = 0, phase = 0;

  void check() {
    if (missing > 0 || bytes != 0) return;
    missing = arrivals;
    phase ^= 1;
  }
};

inline std::map<CopyBarrier*, State> barriers;

inline State& state(CopyBarrier* barrier) {
  const auto found = barriers.find(barrier);
  if (found == barriers.end()) throw std::logic_error("a barrier was not initialised");
  return found->second;
}

// Which byte of shared memory holds a byte of rows that lie one after the other: pieces of 16 bytes are exchanged.
inline size_t exchanged(size_t address) { return address ^ ((address >> 7 & 7) << 4); }

}  // namespace emulated

inline uint32_t shared_address(const void* pointer) {
  return uint32_t(static_cast<const char*>(pointer) - emulation::shared.data());
}
inline void init_barrier(CopyBarrier* barrier, int arrivals) { emulated::barriers[barrier] = {arrivals, arrivals}; }
inline void publish_barriers() {}
inline void arrive(CopyBarrier* barrier) {
  emulated::State& state = emulated::state(barrier);
  if (--state.missing < 0) throw std::logic_error("more arrivals than a barrier waits for");
  state.check();
}
inline void arrive_expecting(CopyBarrier* barrier, int bytes) {
  emulated::state(barrier).bytes += bytes;
  arrive(barrier);
}
inline void wait_phase(CopyBarrier* barrier, int phase) {
  for (int64_t turns = 0; emulated::state(barrier).phase == phase; ++turns) {
    if (turns > 1 << 20) throw std::runtime_error("a barrier is waited for in vain");
    emulation::Block::current->yield();
  }
}

inline void copy_tile(char* shared, const TileMap& map, int element, int row, CopyBarrier* barrier) {
  const size_t to = shared_address(shared);
  if (to % 1024) throw std::invalid_argument("a tile is not aligned to 1024 bytes");
  for (int r = 0; r < map.height; ++r)
    for (int piece = 0; piece < 8; ++piece) {
      const int64_t byte = int64_t(element) * map.element_bytes + 16 * piece;
      char* const place = emulation::shared.data() + emulated::exchanged(to + 128 * r + 16 * piece);
      const bool inside = row + r < map.rows && byte < map.row_bytes;
      const char* from = map.base + (row + r) * map.pitch + byte;
      inside ? (void)std::memcpy(place, from, 16) : (void)std::memset(place, 0, 16);
      for (int i = 0; i < 16 && map.is_tf32; i += 4) {
        float value;
        std::memcpy(&value, place + i, 4);
        const uint32_t rounded = round_tf32(value);
        std::memcpy(place + i, &rounded, 4);
      }
    }
  emulated::State& state = emulated::state(barrier);
  state.bytes -= map.height * 128;
  state.check();
}

inline uint64_t factor(const char* row) { return shared_address(row); }
inline void order_products() { emulation::Block::current->wait_warp(); }
inline void publish_writes() {}
inline void commit_products() {}
template <int pending>
void wait_products() {}
template <int eights>
void pin(float (&)[eights][4]) {}
template <int count>
void give_registers() {}
template <int count>
void take_registers() {}
template <int number, int threads>
void wait_for() {
  emulation::Block::current->wait_some(number, threads);
}

// A number of a factor: row r, k-th of a step of 32 bytes.
template <Math math>
float number(uint64_t start, int row, int k) {
  constexpr bool is_float = math == Math::tf32 || math == Math::tf32x3;
  constexpr int bytes = is_float ? 4 : 2;
  const size_t address = emulated::exchanged(start + row / 8 * 1024 + row % 8 * 128 + k * bytes);
  const char* from = emulation::shared.data() + address;
  if constexpr (is_float) {
    uint32_t bits;
    std::memcpy(&bits, from, 4);
    return __uint_as_float(bits & ~0x1fffu);  // the tensor cores leave out what TF32 has not
  } else if constexpr (math == Math::bf16) {
    bfloat16 value;
    std::memcpy(&value, from, 2);
    return to_float(value);
  } else {
    half value;
    std::memcpy(&value, from, 2);
    return float(value);
  }
}

template <Math math, int n>
void begin_products(float (&sums)[n / 8][4], uint64_t a, uint64_t b, bool added) {
  constexpr int depth = math == Math::tf32 || math == Math::tf32x3 ? 8 : 16;
  const int warp = threadIdx.x / 32 % 4, lane = threadIdx.x % 32;
  for (int i = 0; i < 2; ++i) {
    float row[depth];
    for (int k = 0; k < depth; ++k) row[k] = number<math>(a, 16 * warp + lane / 4 + 8 * i, k);
    for (int eight = 0; eight < n / 8; ++eight)
      for (int j = 0; j < 2; ++j) {
        float total = 0;
        for (int k = 0; k < depth; ++k) total += row[k] * number<math>(b, 8 * eight + 2 * (lane % 4) + j, k);
        float& sum = sums[eight][2 * i + j];
        sum = added ? sum + total : total;
      }
  }
}

}  // namespace dpnet
