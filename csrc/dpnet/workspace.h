// Scratch memory and the rows it holds: regions as T, and blocks of unit parts packed into panels.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <memory>
#include <new>

#include "loops.h"
#include "stable.h"

namespace dpnet {

constexpr int64_t BLOCK_BYTES = 1 << 20;     // unit parts packed at a time, shared by all threads
constexpr int64_t CHUNK_BYTES = 1 << 19;     // regions that one thread goes through at a time
constexpr int64_t CHUNK_ROWS = 192;          // so that a tile of similarities stays near the first cache level
constexpr int64_t DEPTH_STEP = 512;          // partial sums this long are added up: cache, and rounding error
constexpr double SMALLEST_NORM = 1e-12;      // as torch.nn.functional.normalize

struct Sizes {
  int64_t parts;
  int64_t images;
  int64_t regions;
  int64_t depth;
};

inline Sizes sizes_of(const Tensor& parts, const Tensor& regions) {
  return {parts.size(0), regions.size(0), regions.size(1), regions.size(2)};
}

inline int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

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

template <class T>
struct RowView {
  const T* data;
  int64_t pitch;
};

// The regions of an image as rows of T: in place where memory allows it, converted into a buffer otherwise.
template <class T>
class RegionRows {
 public:
  explicit RegionRows(const Tensor& regions)
      : base_(static_cast<const char*>(regions.const_data_ptr())),
        type_(regions.scalar_type()),
        bytes_(regions.element_size()),
        image_(regions.stride(0)),
        row_(regions.stride(1)),
        column_(regions.stride(2)),
        depth_(regions.size(2)) {
    constexpr ScalarType own = sizeof(T) == 8 ? ScalarType::Double : ScalarType::Float;
    in_place_ = type_ == own && (column_ == 1 || depth_ == 1);
  }

  // A pitch that is no multiple of the page size: rows one page apart would share cache sets.
  int64_t buffer_pitch() const { return divide_up(depth_, 16) * 16 + 16; }
  int64_t buffer_size(int64_t rows) const { return in_place_ ? 0 : rows * buffer_pitch(); }

  RowView<T> get(int64_t image, int64_t first, int64_t count, T* buffer) const {
    const char* from = base_ + (image * image_ + first * row_) * bytes_;
    if (in_place_) return {reinterpret_cast<const T*>(from), row_};
    if (type_ == ScalarType::BFloat16) {
      convert(reinterpret_cast<const BFloat16*>(from), count, buffer);
    } else if (type_ == ScalarType::Half) {
      convert(reinterpret_cast<const Half*>(from), count, buffer);
    } else {
      convert(reinterpret_cast<const T*>(from), count, buffer);
    }
    return {buffer, buffer_pitch()};
  }

 private:
  // Sixteen columns at a time, so that strided columns (a transposed feature map) reuse the lines they load.
  template <class E>
  void convert(const E* from, int64_t count, T* buffer) const {
    for (int64_t start = 0; start < depth_; start += 16) {
      const int64_t end = std::min(start + 16, depth_);
      for (int64_t r = 0; r < count; ++r) {
        T* to = buffer + r * buffer_pitch();
        for (int64_t k = start; k < end; ++k) to[k] = static_cast<T>(from[r * row_ + k * column_]);
      }
    }
  }

  const char* base_;
  ScalarType type_;
  int64_t bytes_, image_, row_, column_, depth_;
  bool in_place_;
};

// Rows of a chunk: an even division of an image's regions within CHUNK_BYTES.
template <class T>
int64_t chunk_rows(const Sizes& sizes) {
  const int64_t fit = std::max<int64_t>(6, CHUNK_BYTES / (sizes.depth * sizeof(T)));
  return divide_up(sizes.regions, divide_up(sizes.regions, std::min(fit, CHUNK_ROWS)));
}

template <class T>
T inverse_norm(const T* part, int64_t depth) {
  double square = 0;
  for (int64_t k = 0; k < depth; ++k) square += double(part[k]) * double(part[k]);
  const double norm = std::sqrt(square);
  return T(1 / (norm < SMALLEST_NORM ? SMALLEST_NORM : norm));
}

// Parts [first, first + lanes) divided by their norms, as a panel [depth][lanes]; lanes past the last part are 0.
template <class T>
void pack_panel(const T* parts, const Sizes& sizes, int64_t first, int64_t lanes, T* panel) {
  const int64_t count = std::min(lanes, sizes.parts - first);
  for (int64_t lane = 0; lane < lanes; ++lane) {
    const T* part = parts + (first + lane) * sizes.depth;
    const T scale = lane < count ? inverse_norm(part, sizes.depth) : T(0);
    for (int64_t k = 0; k < sizes.depth; ++k) panel[k * lanes + lane] = lane < count ? part[k] * scale : T(0);
  }
}

// Similarities of a panel to some regions, [rows][lanes].
template <class T>
void similarities(const Loops<T>& loops, const T* panel, RowView<T> rows, int64_t count, int64_t depth, T* tile) {
  for (int64_t k = 0; k < depth; k += DEPTH_STEP) {
    loops.multiply(panel + k * loops.lanes, loops.lanes, rows.data + k, {rows.pitch, 1}, count,
                   std::min(DEPTH_STEP, depth - k), tile, loops.lanes, k > 0);
  }
}

}  // namespace dpnet
