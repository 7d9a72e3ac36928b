// How a forward pass goes through the parts, a block of panels at a time; the best region so far; H = log Z - E[logit].
// For every forward pass on the CPU; a block holds what BLOCK_BYTES of `workspace.h` allow.
#pragma once

#include <cmath>
#include <limits>
#include <utility>

#include "workspace.h"

namespace dpnet {

// Share `index` of `shares` equal ones of [0, count): [begin, end).
inline std::pair<int64_t, int64_t> share_of(int64_t count, int64_t index, int64_t shares) {
  return {count * index / shares, count * (index + 1) / shares};
}

// How many threads share an image: with fewer images than threads several, at most `most`.
inline int64_t splits_of(const Sizes& sizes, int64_t most) {
  const int64_t threads = torch::stable::get_num_threads();
  return std::clamp<int64_t>(threads == 1 ? 1 : 2 * threads / std::max<int64_t>(sizes.images, 1), 1, most);
}

// Blocks of panels that stay within BLOCK_BYTES.
struct Blocks {
  int64_t lanes, panels, block;

  Blocks(const Sizes& sizes, int64_t panel_lanes, int64_t panel_bytes)
      : lanes(panel_lanes), panels(divide_up(sizes.parts, lanes)) {
    block = std::clamp<int64_t>(BLOCK_BYTES / panel_bytes, 1, panels);
  }

  // Panels of the block that begins with panel `first`.
  int64_t count(int64_t first) const { return std::min(block, panels - first); }
};

template <class T>
Partition<T> empty_partition() {
  return {-std::numeric_limits<T>::infinity(), 0, 0};
}
template <class T>
T log_partition_of(const Partition<T>& softmax) {
  return softmax.peak + std::log(softmax.mass);
}
template <class T>
T entropy_of(const Partition<T>& softmax) {
  return std::log(softmax.mass) - softmax.moment / softmax.mass;
}

// Of each lane of a block, the largest similarity and its region.
template <class T>
struct Best {
  explicit Best(int64_t lanes) : value(lanes), index(lanes) {}

  void clear(int64_t lanes) {
    std::fill_n(value.data(), lanes, -std::numeric_limits<T>::infinity());
    std::fill_n(index.data(), lanes, 0);
  }

  // Copy `count` lanes from `offset` on to where they belong in the results.
  void write(int64_t offset, int64_t count, T* scores, int32_t* argmax) const {
    std::copy_n(value.data() + offset, count, scores);
    std::copy_n(index.data() + offset, count, argmax);
  }

  Scratch<T> value;
  Scratch<int32_t> index;
};

}  // namespace dpnet
