// The CUDA kernels' few instructions, emulated on the CPU one thread of the block at a time, so that their index
// arithmetic can be tested without a GPU. Fragment layouts are those of the PTX manual for ldmatrix and mma.sync.
#pragma once

#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <vector>

#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static

struct Index {
  int x;
};
inline Index threadIdx, blockIdx, gridDim;

namespace emulation {

constexpr int LANES = 32;

struct Barrier {
  int arrived = 0, generation = 0;
};

// The threads of one block as coroutines that take turns; each runs until it waits for others.
class Block {
 public:
  static inline Block* current = nullptr;

  Block(int threads, const std::function<void()>& body)
      : body_(body), points_(new jmp_buf[threads]), contexts_(threads), stacks_(threads), warps_(threads / LANES), started_(threads), finished_(threads) {
    current = this;
    for (int i = 0; i < threads; ++i) {
      stacks_[i].resize(1 << 15);
      getcontext(&contexts_[i]);
      contexts_[i].uc_stack = {stacks_[i].data(), 0, stacks_[i].size()};
      makecontext(&contexts_[i], &Block::enter, 0);
    }
    for (bool alive = true; alive;) {
      alive = false;
      for (int i = 0; i < threads; ++i) {
        if (finished_[i]) continue;
        alive = true;
        resume(i);
        if (error_) std::rethrow_exception(error_);
      }
    }
  }

  void wait(Barrier& barrier, int count) {
    const int generation = barrier.generation;
    if (++barrier.arrived == count) {
      barrier.arrived = 0;
      ++barrier.generation;
      return;
    }
    while (barrier.generation == generation) yield();
  }

  // Let the others run.
  void yield() {
    if (_setjmp(points_[threadIdx.x]) == 0) _longjmp(main_point_, 1);
  }

  void wait_some(int number, int count) { wait(some_[number], count); }
  void wait_block() { wait(block_, int(contexts_.size())); }
  void wait_warp() { wait(warps_[threadIdx.x / LANES], LANES); }

 private:
  // Contexts start the coroutines; after that jumps switch between them, which costs no system call.
  void resume(int thread) {
    threadIdx.x = thread;
    if (_setjmp(main_point_) != 0) return;
    if (started_[thread]) _longjmp(points_[thread], 1);
    started_[thread] = 1;
    setcontext(&contexts_[thread]);
  }

  static void enter() {
    try {
      current->body_();
    } catch (...) {
      current->error_ = std::current_exception();
    }
    current->finished_[threadIdx.x] = 1;
    _longjmp(current->main_point_, 1);
  }

  const std::function<void()>& body_;
  jmp_buf main_point_;
  std::unique_ptr<jmp_buf[]> points_;
  std::vector<ucontext_t> contexts_;
  std::vector<std::vector<char>> stacks_;
  Barrier block_, some_[16];
  std::vector<Barrier> warps_;
  std::vector<char> started_, finished_;
  std::exception_ptr error_;
};

inline std::vector<char> shared;

// Run a kernel on every block of a grid; shared memory starts as garbage.
inline void launch(int64_t blocks, int threads, size_t shared_bytes, const std::function<void()>& kernel) {
  gridDim.x = int(blocks);
  for (int64_t block = 0; block < blocks; ++block) {
    shared.assign(shared_bytes, char(0xff));
    blockIdx.x = int(block);
    Block(threads, kernel);
  }
}

// What every lane of the warp passed, seen by all of them.
template <class T>
std::vector<T> exchange(const T& mine) {
  static T slots[64][LANES];
  T* warp = slots[threadIdx.x / LANES];
  warp[threadIdx.x % LANES] = mine;
  Block::current->wait_warp();
  std::vector<T> all(warp, warp + LANES);
  Block::current->wait_warp();
  return all;
}

// The memory that copies may read: a copy from outside is an error.
inline std::vector<std::pair<const char*, const char*>> readable;

inline void check_readable(const char* from, size_t bytes) {
  for (const auto& [begin, end] : readable)
    if (from >= begin && from + bytes <= end) return;
  throw std::out_of_range("a copy reads outside the tensors");
}

}  // namespace emulation

using std::max;
using std::min;

inline void __syncthreads() { emulation::Block::current->wait_block(); }
inline float __uint_as_float(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}
inline uint32_t __float_as_uint(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}
inline uint32_t float_bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

struct alignas(16) uint4 {
  uint32_t x, y, z, w;
};

namespace dpnet {

struct bfloat16 {
  uint16_t bits;
};
using half = _Float16;

enum class Math { bf16, f16, tf32, tf32x3 };

inline char* dynamic_shared() { return emulation::shared.data(); }

inline void copy_async(char* shared, const char* global, bool valid) {
  if (reinterpret_cast<uintptr_t>(global) % 16 || (shared - dynamic_shared()) % 16)
    throw std::invalid_argument("a copy is not aligned to 16 bytes");
  if (shared < dynamic_shared() || shared + 16 > dynamic_shared() + emulation::shared.size())
    throw std::out_of_range("a copy writes outside shared memory");
  if (valid) emulation::check_readable(global, 16);
  valid ? (void)std::memcpy(shared, global, 16) : (void)std::memset(shared, 0, 16);
}
inline void commit_copies() {}
template <int pending>
void wait_copies() {}

// Lane 4 i + j receives 4-byte word j of row i of each matrix.
inline void load_matrices(uint32_t (&to)[4], const char* row) {
  const auto rows = emulation::exchange(row);
  const int lane = threadIdx.x % 32;
  for (int matrix = 0; matrix < 4; ++matrix) std::memcpy(&to[matrix], rows[8 * matrix + lane / 4] + 4 * (lane % 4), 4);
}

inline double to_float(double value) { return value; }
inline float to_float(float value) { return value; }
inline float to_float(bfloat16 value) { return __uint_as_float(uint32_t(value.bits) << 16); }
inline float to_float(half value) { return float(value); }

template <class T>
T from_float(double value);
template <>
inline double from_float<double>(double value) { return value; }
template <class T>
T from_float(float value);
template <>
inline float from_float<float>(float value) { return value; }
template <>
inline half from_float<half>(float value) { return half(value); }
template <>
inline bfloat16 from_float<bfloat16>(float value) {
  const uint32_t bits = float_bits(value);
  if (value != value) return {0x7fc0};
  return {uint16_t((bits + 0x7fff + ((bits >> 16) & 1)) >> 16)};
}

inline uint32_t round_tf32(float value) {
  const uint32_t bits = float_bits(value);
  return value != value || std::isinf(value) ? bits : (bits + 0x1000) & ~0x1fffu;
}

// Element (row, k) of a 16 x k factor or (column, k) of a k x 8 one, by the manual's tables: a 32-bit register holds
// two halves or one float; lane 4 g + t holds rows g and g + 8.
template <Math math>
float element(const uint32_t* registers, int half_register, int k) {
  if constexpr (math == Math::bf16 || math == Math::f16) {
    uint16_t bits;
    std::memcpy(&bits, reinterpret_cast<const char*>(registers + half_register) + 2 * (k % 2), 2);
    if constexpr (math == Math::bf16) return to_float(bfloat16{bits});
    half value;
    std::memcpy(&value, &bits, 2);
    return float(value);
  } else {
    if (registers[half_register] & 0x1fff) throw std::invalid_argument("a factor is not rounded to TF32");
    return __uint_as_float(registers[half_register]);
  }
}

template <Math math>
void multiply_add(float (&sums)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
  struct Factors {
    uint32_t a[4], b[2];
  };
  Factors own;
  std::memcpy(own.a, a, sizeof(a));
  std::memcpy(own.b, b, sizeof(b));
  const auto all = emulation::exchange(own);
  constexpr int depth = math == Math::bf16 || math == Math::f16 ? 16 : 8;
  constexpr int packed = depth / 8;  // values in a register
  const int lane = threadIdx.x % 32;
  for (int i = 0; i < 4; ++i) {
    const int row = lane / 4 + 8 * (i / 2), column = 2 * (lane % 4) + i % 2;
    float total = 0;
    for (int k = 0; k < depth; ++k) {
      const int t = k / packed % 4, upper = k / (4 * packed);
      const uint32_t* a_lane = all[4 * (row % 8) + t].a;
      const uint32_t* b_lane = all[4 * column + t].b;
      total += element<math>(a_lane, row / 8 + 2 * upper, k) * element<math>(b_lane, upper, k);
    }
    sums[i] += total;
  }
}

template <class T>
T shuffle_xor(T value, int mask) {
  return emulation::exchange(value)[(threadIdx.x % 32) ^ mask];
}
inline uint32_t ballot(bool predicate) {
  const auto all = emulation::exchange<int>(predicate);
  uint32_t bits = 0;
  for (int lane = 0; lane < 32; ++lane) bits |= uint32_t(all[lane]) << lane;
  return bits;
}
inline int lowest_bit(uint32_t bits) { return __builtin_ctz(bits); }
inline float power_of_two(float x) {
  const float power = std::exp2(x);
  return power < std::numeric_limits<float>::min() ? 0 : power;
}
inline float exponential(float x) { return power_of_two(x * 1.44269504f); }
inline double exponential(double x) { return std::exp(x); }
inline float largest(float a, float b) { return std::fmax(a, b); }
inline double largest(double a, double b) { return std::fmax(a, b); }
inline float largest_or_nan(float a, float b) { return a != a || b != b ? NAN : std::fmax(a, b); }

}  // namespace dpnet
