// Sizes, scratch memory, and how the work is cut into pieces that fit a cache: rows = R / ceil(R / what fits).
// For every pass on the CPU, any shape.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <new>

#include "loops.h"
#include "../../common/pieces.h"
#include "../../common/stable.h"

namespace dpnet {

constexpr int64_t BLOCK_BYTES = 1 << 20;  // unit parts packed at a time, shared by all threads
constexpr int64_t CHUNK_BYTES = 1 << 19;  // regions that one thread goes through at a time
constexpr int64_t CHUNK_ROWS = 192;       // so that a tile of similarities stays near the first cache level
constexpr int64_t STEP_BYTES = 1024;      // of a row in one product: cache, and short sums for less rounding

struct Sizes {
  int64_t parts;
  int64_t images;
  int64_t regions;
  int64_t depth;
};

inline Sizes sizes_of(const Tensor& parts, const Tensor& regions) {
  return {parts.size(0), regions.size(0), regions.size(1), regions.size(2)};
}

// Uninitialised memory, a cache line aligned.
template <class T>
class Scratch {
 public:
  explicit Scratch(int64_t count) {
    const size_t bytes = divide_up(std::max<int64_t>(count, 1) * sizeof(T), 64) * 64;
    memory_.reset(static_cast<T*>(std::aligned_alloc(64, bytes)));
    if (!memory_) throw std::bad_alloc();
  }
  T* data() const { return memory_.get(); }

 private:
  struct Free {
    void operator()(T* memory) const { std::free(memory); }
  };
  std::unique_ptr<T[], Free> memory_;
};

// What a product multiplies: T itself, or pairs whose products are float. A row is multiplied in runs of elements, and
// each run may have a header in front of its factors.
template <class F>
struct Factor {
  static constexpr int64_t elements = 1, header = 0, run = STEP_BYTES / sizeof(F);
};
template <>
struct Factor<WholePair> {
  static constexpr int64_t elements = 2, header = 1, run = 128;  // longer ones cost less, and round more
};

template <class F>
constexpr bool is_pair = Factor<F>::elements == 2;

// Factors in a row of `depth` elements, headers included.
template <class F>
int64_t factors(int64_t depth) {
  return divide_up(depth, Factor<F>::elements) + Factor<F>::header * divide_up(depth, Factor<F>::run);
}

// Factors in a whole run.
template <class F>
constexpr int64_t run_factors = Factor<F>::header + Factor<F>::run / Factor<F>::elements;

// Rows of a chunk: an even division of an image's regions within CHUNK_BYTES.
template <class F>
int64_t chunk_rows(const Sizes& sizes) {
  const int64_t fit = std::max<int64_t>(6, CHUNK_BYTES / int64_t(factors<F>(sizes.depth) * sizeof(F)));
  return divide_up(sizes.regions, divide_up(sizes.regions, std::min(fit, CHUNK_ROWS)));
}

}  // namespace dpnet
